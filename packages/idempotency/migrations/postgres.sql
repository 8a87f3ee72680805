-- The tables of the idempotency stores of @polybus/idempotency in Postgres. Stores create them by themselves, unless they are told `create: false`.

create table if not exists polybus_handled (
  key text collate "C" primary key,
  -- Of a claim that runs; null once the message was handled.
  fence uuid,
  -- The end of its lease, or of the time that it is remembered.
  until timestamptz not null,
  -- Forgotten while it ran: its completion is not remembered.
  forgotten boolean not null default false
);

create index if not exists polybus_handled_until on polybus_handled (until);

create table if not exists polybus_handled_lines (
  line text collate "C" primary key,
  name text collate "C" not null,
  head_id text not null,
  head_message text not null,
  state text not null
);

create table if not exists polybus_handled_parked (
  seq bigint generated always as identity primary key,
  line text collate "C" not null,
  id_key text not null,
  id text not null,
  message text not null,
  unique (line, id_key)
);
