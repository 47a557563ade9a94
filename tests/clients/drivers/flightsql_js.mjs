// What the clients of GizmoData and Firetiger share: one is made from the other.

import { fails, refused, same, server, trial } from "./trial.mjs";

export function tryAll(FlightSQLClient, inspect) {
  async function opened(work, password = server.password) {
    const client = new FlightSQLClient({
      host: server.host,
      port: server.port,
      plaintext: true,
      username: server.user,
      password,
    });
    try {
      return await work(client);
    } finally {
      await client.close();
    }
  }

  trial("query", () =>
    opened(async (client) => {
      const table = await client.execute("SELECT 1 AS a, 'é' AS b, true AS c, NULL::INTEGER AS d, 1.5::DOUBLE AS e");
      same(table.toArray(), [{ a: 1, b: "é", c: true, d: null, e: 1.5 }]);
    }));

  trial("nested", () =>
    opened(async (client) => {
      const table = await client.execute("SELECT [1, 2] AS l, {'a': 1, 'b': 'x'} AS s");
      same(table.toArray(), [{ l: [1, 2], s: { a: 1, b: "x" } }]);
    }));

  trial("parameters", () =>
    opened(async (client) => {
      const prepared = await client.prepare("SELECT 42 AS a");
      same(await client.executePrepared(prepared), [{ a: 42 }]);
      await client.closePrepared(prepared);
    }));

  trial("write", () =>
    opened(async (client) => {
      await client.execute("CREATE OR REPLACE TABLE jw (a INTEGER)");
      same((await client.execute("INSERT INTO jw VALUES (1), (2)")).toArray(), [{ Count: 2 }]);
    }));

  trial("transactions", () =>
    opened(async (client) => {
      await client.execute("CREATE OR REPLACE TABLE jt (a INTEGER)");
      await client.execute("BEGIN");
      await client.execute("INSERT INTO jt VALUES (1)");
      await client.execute("ROLLBACK");
      same((await client.execute("SELECT count(*) AS n FROM jt")).toArray(), [{ n: 0 }]);
    }));

  trial("catalog", () =>
    opened(async (client) => {
      await client.execute("CREATE OR REPLACE TABLE jf (b INTEGER)");
      same(await client.getCatalogs(), ["lake"]);
      same((await client.getSchemas("lake")).some((one) => one.schema === "main"), true);
      same(await client.getTables("lake", "main", "jf"), [
        { catalog: "lake", schema: "main", tableName: "jf", tableType: "BASE TABLE" },
      ]);
      same((await client.getTableTypes()).includes("VIEW"), true);
      if (inspect) await inspect(client);
    }));

  trial("keys", () =>
    opened(async (client) => {
      await client.execute("DROP TABLE IF EXISTS kf");
      await client.execute("CREATE OR REPLACE TABLE kp (a INTEGER PRIMARY KEY)");
      await client.execute("CREATE OR REPLACE TABLE kf (b INTEGER REFERENCES kp (a))");
      const [key] = await client.getPrimaryKeys("lake", "main", "kp");
      const [foreign] = await client.getForeignKeys("lake", "main", "kf");
      same([key.columnName, foreign.pkTableName, foreign.fkColumnName], ["a", "kp", "b"]);
    }));

  trial("schema", () =>
    opened(async (client) => {
      same((await client.getQuerySchema("SELECT 1 AS a")).fields.map((field) => field.name), ["a"]);
    }));

  trial("large", () =>
    opened(async (client) => {
      const table = await client.execute("SELECT i FROM range(500000) t(i)");
      let sum = 0n;
      for (const value of table.getChild("i")) sum += value;
      same([table.numRows, sum], [500000, 124999750000]);
    }));

  trial("empty", () =>
    opened(async (client) => {
      const table = await client.execute("SELECT 1 AS a, 'x' AS b WHERE false");
      same([table.schema.fields.map((field) => field.name), table.numRows], [["a", "b"], 0]);
    }));

  trial("session", () =>
    opened(async (client) => {
      await client.execute("CREATE OR REPLACE TEMP TABLE mine AS SELECT 7 AS a");
      same((await client.execute("SELECT a FROM mine")).toArray(), [{ a: 7 }]);
    }));

  trial("errors", async () => {
    await refused(() => opened((client) => client.execute("SELECT * FROM nowhere")), "not_found");
  });

  trial("login", () => fails(() => opened((client) => client.execute("SELECT 1"), "wrong")));
}
