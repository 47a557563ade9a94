"""One behaviour, asked of the embedded lake and of the Flight SQL server through the stock ADBC driver."""
