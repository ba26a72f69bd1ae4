-- dnsguard's part of a PowerDNS database in PostgreSQL. Run it once, after PowerDNS's own schema:
--   psql --dbname=powerdns --file=postgresql.sql
-- With postgresql.conf, the first makes the cost of an update independent of the zone's size: what stands below a name is
-- found by the parents of names. A dot that belongs to a label is written \. in a name, and divides nothing.
CREATE INDEX IF NOT EXISTS dnsguard_parent
    ON records ((substr(name, strpos(replace(name, '\.', '\_'), '.') + 1)));
-- A zone has one fence, whoever writes it: of two instances that make the first at once, one fails.
CREATE UNIQUE INDEX IF NOT EXISTS dnsguard_fence
    ON records (domain_id) WHERE type = 'TXT' AND name LIKE '\_dnsguard.%';
