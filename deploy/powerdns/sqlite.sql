-- dnsguard's part of a PowerDNS database in SQLite. Run it once, after PowerDNS's own schema:
--   sqlite3 /var/lib/powerdns/pdns.sqlite3 < sqlite.sql
-- With sqlite.conf, it makes the cost of an update independent of the zone's size: what stands below a name is found
-- by the parents of names. (PowerDNS itself compares every name of the zone with "%.name", for each RRset it changes.)
-- A dot that belongs to a label is written \. in a name, and divides nothing.
CREATE INDEX IF NOT EXISTS dnsguard_parent
    ON records (domain_id, substr(name, instr(replace(name, '\.', '\_'), '.') + 1));
