// @lancedb/arrow-flight-sql-client: reads only.

import { Client } from "@lancedb/arrow-flight-sql-client";
import { fails, main, refused, same, server, trial } from "./trial.mjs";

const connect = (password = server.password) =>
  Client.connect({ host: `${server.host}:${server.port}`, username: server.user, password, insecure: true });

async function rows(sql) {
  const client = await connect();
  return (await client.query(sql)).collectToObjects();
}

trial("query", async () => {
  same(await rows("SELECT 1 AS a, 'é' AS b, true AS c, NULL::INTEGER AS d, 1.5::DOUBLE AS e"), [
    { a: 1, b: "é", c: true, d: null, e: 1.5 },
  ]);
});

trial("nested", async () => {
  same(await rows("SELECT [1, 2] AS l, {'a': 1, 'b': 'x'} AS s"), [{ l: [1, 2], s: { a: 1, b: "x" } }]);
});

trial("large", async () => {
  const client = await connect();
  let count = 0;
  let sum = 0n;
  for await (const batch of (await client.query("SELECT i FROM range(500000) t(i)")).toArrowStream()) {
    count += batch.numRows;
    for (const value of batch.getChild("i")) sum += value;
  }
  same([count, sum], [500000, 124999750000]);
});

trial("empty", async () => {
  const client = await connect();
  const batches = await (await client.query("SELECT 1 AS a WHERE false")).collectToArrow();
  same(batches.reduce((total, batch) => total + batch.numRows, 0), 0);
});

trial("session", async () => {
  const client = await connect();
  await (await client.query("CREATE TEMP TABLE mine AS SELECT 7 AS a")).collectToObjects();
  same(await (await client.query("SELECT a FROM mine")).collectToObjects(), [{ a: 7 }]);
});

trial("errors", async () => {
  await refused(() => rows("SELECT * FROM nowhere"), "not_found");
});

trial("login", () => fails(() => connect("wrong")));

await main("@lancedb/arrow-flight-sql-client");
