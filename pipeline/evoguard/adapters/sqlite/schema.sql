-- One file, WAL, synchronous=FULL. Insert-only tables are guarded by triggers; projections are rewritten freely.

create table if not exists meta(name text primary key, value text not null) strict;

-- The truth. UNIQUE(stream, version) is the fence: two drivers of one change cannot both commit a step.
create table if not exists events(
  seq integer primary key autoincrement,
  format integer not null,
  stream text not null,
  version integer not null,
  at integer not null,             -- unix ms
  type text not null,
  body text not null,              -- canonical JSON
  actor text not null,
  reason text not null,
  causation text not null,
  prev_hash text not null,
  hash text not null,
  unique(stream, version)
) strict;
create trigger if not exists events_are_final before update on events begin select raise(abort, 'events are append-only'); end;
create trigger if not exists events_stay before delete on events begin select raise(abort, 'events are append-only'); end;

-- A signed root over all stream heads; each names the one before it, and the newest is kept in a file as well.
create table if not exists roots(
  n integer primary key,           -- 1, 2, 3, ...
  at integer not null,
  seq integer not null,            -- newest event covered
  bundle text not null             -- Sigstore bundle over the statement
) strict;
create trigger if not exists roots_are_final before update on roots begin select raise(abort, 'roots are append-only'); end;
create trigger if not exists roots_stay before delete on roots begin select raise(abort, 'roots are append-only'); end;

create table if not exists inbox(
  id integer primary key autoincrement,
  change text not null,
  kind text not null,
  body text not null,
  key text not null unique,        -- idempotency
  at integer not null,
  consumed integer not null default 0
) strict;
create index if not exists inbox_pending on inbox(consumed, change);

create table if not exists effects(
  key text primary key,
  claimed_at integer not null,
  attempts integer not null default 1,
  done integer not null default 0,
  result text not null default ''
) strict;

-- Projections of the streams, written in the transaction that appends the events.
create table if not exists changes(
  id text primary key,
  status text not null,
  repo text not null,
  component text not null,
  flag text not null,
  author text not null,
  intent text not null,
  base text not null,
  head text not null,
  outcome text not null,
  stage_percent integer not null,
  detail text not null,
  created_at integer not null,
  updated_at integer not null
) strict;
create index if not exists changes_open on changes(outcome, component);

create table if not exists identities(
  name text primary key,
  kind text not null,
  public_pem text not null unique, -- one key is one identity
  revoked integer not null default 0
) strict;

create table if not exists holds(
  author text not null, reason text not null, kill_id text not null, at integer not null, primary key(author, kill_id)
) strict;
create table if not exists kills(id text primary key, epoch integer not null, body text not null) strict;
create table if not exists nonces(nonce text primary key, purpose text not null, at integer not null) strict;

create table if not exists due(change text primary key, at integer not null) strict;

-- What the flag server serves; `rev` is monotonic and never reused.
create table if not exists flags(
  flag text primary key,
  component text not null,
  change text not null,
  enabled integer not null,
  percent integer not null,
  known_good text not null,
  candidate text not null,
  lease_until integer not null,
  epoch integer not null,
  rev integer not null
) strict;
create table if not exists tokens(hash text primary key, kind text not null, assurance text not null, name text not null) strict;
create table if not exists kpi(
  seq integer primary key autoincrement,
  id text not null unique,
  change text not null,
  component text not null,
  at integer not null,
  body text not null,
  assurance text not null
) strict;
create index if not exists kpi_change on kpi(change, seq);
create table if not exists sdk_seen(instance text primary key, app text not null, at integer not null, body text not null) strict;
