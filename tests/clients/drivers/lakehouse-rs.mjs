// @lakehouse-rs/flight-sql-client: the Rust crate arrow-flight under Node; results are Arrow IPC.

import { createFlightSqlClient } from "@lakehouse-rs/flight-sql-client";
import { tableFromIPC } from "apache-arrow";
import { fails, main, refused, same, server, trial } from "./trial.mjs";

const connect = (password = server.password) =>
  createFlightSqlClient({
    username: server.user,
    password,
    tls: false,
    host: server.host,
    port: server.port,
    headers: [],
  });

async function table(sql) {
  return tableFromIPC(await (await connect()).query(sql));
}

trial("query", async () => {
  same((await table("SELECT 1 AS a, 'é' AS b, true AS c, NULL::INTEGER AS d, 1.5::DOUBLE AS e")).toArray(), [
    { a: 1, b: "é", c: true, d: null, e: 1.5 },
  ]);
});

trial("nested", async () => {
  same((await table("SELECT [1, 2] AS l, {'a': 1, 'b': 'x'} AS s")).toArray(), [{ l: [1, 2], s: { a: 1, b: "x" } }]);
});

trial("write", async () => {
  await table("CREATE OR REPLACE TABLE rw (a INTEGER)");
  same((await table("INSERT INTO rw VALUES (1), (2)")).toArray(), [{ Count: 2 }]);
});

trial("catalog", async () => {
  const client = await connect();
  same(tableFromIPC(await client.getCatalogs()).toArray(), [{ catalog_name: "lake" }]);
  const schemas = tableFromIPC(await client.getDbSchemas({ catalog: "lake", dbSchemaFilterPattern: "ma%" }));
  same(schemas.toArray(), [{ catalog_name: "lake", db_schema_name: "main" }]);
  await client.query("CREATE OR REPLACE TABLE rc (a INTEGER)");
  const tables = tableFromIPC(await client.getTables({ tableNameFilterPattern: "rc", includeSchema: true }));
  same([tables.numRows, tables.get(0).table_name], [1, "rc"]);
});

trial("large", async () => {
  const found = await table("SELECT i FROM range(500000) t(i)");
  let sum = 0n;
  for (const value of found.getChild("i")) sum += value;
  same([found.numRows, sum], [500000, 124999750000]);
});

trial("empty", async () => {
  const found = await table("SELECT 1 AS a, 'x' AS b WHERE false");
  same([found.schema.fields.map((field) => field.name), found.numRows], [["a", "b"], 0]);
});

trial("session", async () => {
  const client = await connect();
  await client.query("CREATE TEMP TABLE mine AS SELECT 7 AS a");
  same(tableFromIPC(await client.query("SELECT a FROM mine")).toArray(), [{ a: 7 }]);
});

trial("errors", async () => {
  await refused(() => table("SELECT * FROM nowhere"), "not_found");
});

trial("login", () => fails(() => connect("wrong")));

await main("@lakehouse-rs/flight-sql-client");
