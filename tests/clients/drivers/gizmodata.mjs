// @gizmodata/gizmosql-client.

import { FlightSQLClient } from "@gizmodata/gizmosql-client";
import { tryAll } from "./flightsql_js.mjs";
import { main, same } from "./trial.mjs";

tryAll(FlightSQLClient, async (client) => {
  const info = await client.getSqlInfo([0, 8]);
  same(info.get(8), 1);  // transactions
});

await main("@gizmodata/gizmosql-client");
