-- The tables that every store has beside those of its stages. Texts are compared byte by byte.
CREATE TABLE meta (key TEXT COLLATE "C" PRIMARY KEY, value TEXT COLLATE "C" NOT NULL);

CREATE TABLE batches (
  owner TEXT COLLATE "C" NOT NULL,
  number BIGINT NOT NULL,
  epoch BIGINT NOT NULL,
  consumed TEXT COMPRESSION lz4 COLLATE "C" NOT NULL,
  checkpoint TEXT COMPRESSION lz4 COLLATE "C" NOT NULL,
  committed_at TEXT COLLATE "C" NOT NULL,
  previous TEXT COLLATE "C" NOT NULL,
  hash TEXT COLLATE "C" NOT NULL,
  PRIMARY KEY (owner, number)
);

CREATE TABLE owners (
  owner TEXT COLLATE "C" PRIMARY KEY,
  number BIGINT NOT NULL,
  hash TEXT COLLATE "C" NOT NULL
);

CREATE TABLE journal (
  producer TEXT COLLATE "C" NOT NULL,
  target TEXT COLLATE "C" NOT NULL,
  seq BIGINT NOT NULL,
  facts BIGINT NOT NULL,
  previous TEXT COLLATE "C" NOT NULL,
  hash TEXT COLLATE "C" NOT NULL,
  body TEXT COMPRESSION lz4 COLLATE "C" NOT NULL,
  PRIMARY KEY (producer, target, seq)
);

-- How far each stream is known to hold the journals published to it: its incarnation, a message of it (`place`,
-- `session`, and the frame `producer`, `seq` in it), and for each producer the last frame at or before it. `rewinds`
-- grows whenever somebody asks to publish the journals of `republish` again. Losing a row costs time only.
CREATE TABLE publish_positions (
  target TEXT COLLATE "C" PRIMARY KEY,
  incarnation TEXT COLLATE "C",
  place BIGINT,
  session TEXT COLLATE "C",
  producer TEXT COLLATE "C",
  seq BIGINT,
  confirmed JSONB NOT NULL,
  republish JSONB NOT NULL,
  rewinds BIGINT NOT NULL
);

-- Messages that are no frames.
CREATE TABLE quarantine (
  target TEXT COLLATE "C" NOT NULL,
  incarnation TEXT COLLATE "C" NOT NULL,
  place BIGINT NOT NULL,
  reason TEXT COLLATE "C" NOT NULL,
  bytes BYTEA NOT NULL,
  PRIMARY KEY (target, incarnation, place)
);

-- Who should run a service, until when.
CREATE TABLE leases (
  service TEXT COLLATE "C" PRIMARY KEY,
  holder TEXT COLLATE "C" NOT NULL,
  until TIMESTAMPTZ NOT NULL
);
