// @firetiger-oss/flight-sql-client.

import { FlightSQLClient } from "@firetiger-oss/flight-sql-client";
import { tryAll } from "./flightsql_js.mjs";
import { main } from "./trial.mjs";

tryAll(FlightSQLClient);

await main("@firetiger-oss/flight-sql-client");
