-- The tables of the idempotency stores of @polybus/idempotency in SQLite. Stores create them by themselves, unless they are told `create: false`.

create table if not exists polybus_handled (
  key text primary key,
  -- Of a claim that runs; null once the message was handled.
  fence text,
  -- The end of its lease, or of the time that it is remembered: milliseconds since 1970.
  until integer not null,
  -- Forgotten while it ran: its completion is not remembered.
  forgotten integer not null default 0
) without rowid;

create index if not exists polybus_handled_until on polybus_handled (until);

create table if not exists polybus_handled_lines (
  line text primary key,
  name text not null,
  head_id text not null,
  head_message text not null,
  state text not null
) without rowid;

create table if not exists polybus_handled_parked (
  seq integer primary key autoincrement,
  line text not null,
  id_key text not null,
  id text not null,
  message text not null,
  unique (line, id_key)
);
