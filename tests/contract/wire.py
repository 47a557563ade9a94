"""A plain Flight client that sends Flight SQL's messages one by one, for what a stock driver hides or never sends."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping
from typing import Any

import pyarrow as pa
import pyarrow.flight as paflight

from contract.clients import PASSWORD, Flight
from flight.protocol import messages

Option = str | bool | int | float | tuple[str, ...] | None


def command(name: str, **fields: Any) -> bytes:
    """A command or the body of an action of Flight SQL; `name` is the message's, nested values are given as dicts."""
    return messages.pack(_filled(messages.message(f"sql.{name}")(), fields))


def bare(name: str, **fields: Any) -> bytes:
    """The body of one of Flight's own actions."""
    return bytes(_filled(messages.message(name)(), fields).SerializeToString())


def _filled(message: Any, fields: Mapping[str, Any]) -> Any:
    for name, value in fields.items():
        if value is None:
            continue
        if isinstance(value, dict):
            _filled(getattr(message, name), value)
        elif isinstance(value, list | tuple):
            getattr(message, name).extend(value)
        else:
            setattr(message, name, value)
    return message


class Wire:
    """One session. `token` is its bearer token; without a user there is none, and calls go out as they are."""

    def __init__(self, uri: str, user: str = "admin", password: str = PASSWORD, *, token: str | None = None) -> None:
        self.client = paflight.connect(uri)
        if token is None:
            name, value = self.client.authenticate_basic_token(user, password)
            assert name == b"authorization"
            token = value.decode().removeprefix("Bearer ")
        self.token = token
        self.options = paflight.FlightCallOptions(headers=[(b"authorization", f"Bearer {token}".encode())])

    @classmethod
    def of(cls, flight: Flight) -> Wire:
        """A session of its own on the server that a driver talks to."""
        return cls(flight.uri)

    @classmethod
    def with_password(cls, uri: str, user: str = "admin", password: str = PASSWORD) -> Wire:
        """A client that sends its password with every call, and never shakes hands."""
        wire = cls(uri, token="unused")
        basic = base64.b64encode(f"{user}:{password}".encode())
        wire.options = paflight.FlightCallOptions(headers=[(b"authorization", b"Basic " + basic)])
        return wire

    def info(self, descriptor: bytes) -> paflight.FlightInfo:
        """GetFlightInfo."""
        return self.client.get_flight_info(paflight.FlightDescriptor.for_command(descriptor), self.options)

    def schema(self, descriptor: bytes) -> pa.Schema:
        """GetSchema."""
        return self.client.get_schema(paflight.FlightDescriptor.for_command(descriptor), self.options).schema

    def stream(self, ticket: paflight.Ticket | bytes) -> paflight.FlightStreamReader:
        """DoGet."""
        ticket = paflight.Ticket(ticket) if isinstance(ticket, bytes) else ticket
        return self.client.do_get(ticket, self.options)

    def get(self, ticket: paflight.Ticket | bytes) -> pa.Table:
        """DoGet, to its end."""
        return self.stream(ticket).read_all()

    def ask(self, name: str, **fields: Any) -> pa.Table:
        """GetFlightInfo and DoGet of every endpoint, one after the other."""
        info = self.info(command(name, **fields))
        return pa.concat_tables([self.get(endpoint.ticket) for endpoint in info.endpoints])

    def query(self, sql: str) -> pa.Table:
        """Run a text that answers with rows."""
        return self.ask("CommandStatementQuery", query=sql)

    def value(self, sql: str) -> Any:
        """Run a text that answers with one value."""
        ((value,),) = (row.values() for row in self.query(sql).to_pylist())
        return value

    def update(self, sql: str, transaction_id: bytes | None = None) -> int:
        """Run a text that answers with a count."""
        return self.put(command("CommandStatementUpdate", query=sql, transaction_id=transaction_id))

    def put(self, descriptor: bytes, rows: pa.Table | pa.RecordBatch | None = None) -> int:
        """DoPut; the count that comes back. Without rows not even a schema is sent."""
        (answer,) = self.put_all(descriptor, rows)
        return int(messages.message("sql.DoPutUpdateResult").FromString(answer).record_count)

    def put_all(self, descriptor: bytes, rows: pa.Table | pa.RecordBatch | None = None) -> list[bytes]:
        """DoPut; every answer."""
        target = paflight.FlightDescriptor.for_command(descriptor)
        sent = rows if rows is not None else pa.table({})
        writer, answers = self.client.do_put(target, sent.schema, self.options)
        batches: Iterable[pa.RecordBatch] = sent.to_batches() if isinstance(sent, pa.Table) else [sent]
        try:
            for batch in batches:
                writer.write_batch(batch)
            writer.done_writing()
            found = []
            while (answer := answers.read()) is not None:
                found.append(answer.to_pybytes())
            return found
        finally:
            writer.close()

    def act(self, action: str, body: bytes = b"") -> list[bytes]:
        """DoAction; every answer."""
        answers = self.client.do_action(paflight.Action(action, body), self.options)
        return [answer.body.to_pybytes() for answer in answers]

    def prepare(self, sql: str, transaction_id: bytes | None = None) -> Any:
        """CreatePreparedStatement; the message that comes back."""
        body = command("ActionCreatePreparedStatementRequest", query=sql, transaction_id=transaction_id)
        (answer,) = self.act("CreatePreparedStatement", body)
        return messages.message("sql.ActionCreatePreparedStatementResult").FromString(messages.unpack(answer)[1])

    def bind(self, handle: bytes, rows: pa.Table | pa.RecordBatch) -> bytes:
        """DoPut of parameters for a query; the handle to use from now on."""
        (answer,) = self.put_all(command("CommandPreparedStatementQuery", prepared_statement_handle=handle), rows)
        return bytes(messages.message("sql.DoPutPreparedStatementResult").FromString(answer).prepared_statement_handle)

    def close_prepared(self, handle: bytes) -> None:
        """ClosePreparedStatement."""
        body = command("ActionClosePreparedStatementRequest", prepared_statement_handle=handle)
        assert self.act("ClosePreparedStatement", body) == []

    def begin(self) -> bytes:
        """BeginTransaction; its id."""
        (answer,) = self.act("BeginTransaction", command("ActionBeginTransactionRequest"))
        return bytes(
            messages.message("sql.ActionBeginTransactionResult").FromString(messages.unpack(answer)[1]).transaction_id
        )

    def end(self, transaction_id: bytes, *, commit: bool) -> None:
        """EndTransaction."""
        body = command("ActionEndTransactionRequest", transaction_id=transaction_id, action=1 if commit else 2)
        assert self.act("EndTransaction", body) == []

    def ingest(self, table: str, rows: pa.Table, if_not_exist: int = 1, if_exists: int = 1, **fields: Any) -> int:
        """CommandStatementIngest; how many rows arrived. By default create the table, and fail where one is."""
        options = {"if_not_exist": if_not_exist, "if_exists": if_exists}
        return self.put(
            command("CommandStatementIngest", table=table, table_definition_options=options, **fields), rows
        )

    def session_options(self) -> dict[str, Option]:
        """GetSessionOptions."""
        (answer,) = self.act("GetSessionOptions", bare("GetSessionOptionsRequest"))
        sent = messages.message("GetSessionOptionsResult").FromString(answer)
        return {name: _option(value) for name, value in sent.session_options.items()}

    def set_session_options(self, **options: Option) -> dict[str, int]:
        """SetSessionOptions; the number of what is wrong, by option. None unsets one."""
        request = messages.message("SetSessionOptionsRequest")()
        for name, value in options.items():
            field = request.session_options[name]
            match value:
                case None:
                    pass
                case bool():
                    field.bool_value = value
                case str():
                    field.string_value = value
                case int():
                    field.int64_value = value
                case float():
                    field.double_value = value
                case tuple():
                    field.string_list_value.values.extend(value)
                    field.string_list_value.SetInParent()
        (answer,) = self.act("SetSessionOptions", bytes(request.SerializeToString()))
        sent = messages.message("SetSessionOptionsResult").FromString(answer)
        return {name: error.value for name, error in sent.errors.items()}

    def cancel(self, info: paflight.FlightInfo) -> int:
        """CancelFlightInfo; the status."""
        request = messages.message("CancelFlightInfoRequest")()
        request.info.ParseFromString(info.serialize())
        (answer,) = self.act("CancelFlightInfo", bytes(request.SerializeToString()))
        return int(messages.message("CancelFlightInfoResult").FromString(answer).status)

    def close(self) -> None:
        """Leave without a word, as a client does that exits."""
        self.client.close()

    def __enter__(self) -> Wire:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _option(value: Any) -> Option:
    kind = value.WhichOneof("option_value")
    if kind is None:
        return None
    found = getattr(value, kind)
    return tuple(found.values) if kind == "string_list_value" else found
