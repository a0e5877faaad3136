import type { Pool } from 'pg';

/** Lets the database itself write down which transaction touched which aggregate. */
export async function auditTransactions(pool: Pool): Promise<void> {
  await pool.query(`
    CREATE TABLE IF NOT EXISTS audit (id bigint GENERATED ALWAYS AS IDENTITY, tx bigint, "table" text, aggregate uuid);
    CREATE OR REPLACE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$
      BEGIN
        INSERT INTO audit (tx, "table", aggregate)
        VALUES (txid_current(), TG_TABLE_NAME, (to_jsonb(NEW) ->> TG_ARGV[0])::uuid);
        RETURN NULL;
      END $$;
    CREATE OR REPLACE TRIGGER note AFTER INSERT OR UPDATE ON orders FOR EACH ROW EXECUTE FUNCTION note('id');
    CREATE OR REPLACE TRIGGER note AFTER INSERT OR UPDATE ON customers FOR EACH ROW EXECUTE FUNCTION note('id');
    CREATE OR REPLACE TRIGGER note AFTER INSERT ON outbox FOR EACH ROW EXECUTE FUNCTION note('aggregate_id')`);
}

export type Audited = { readonly tables: readonly string[]; readonly ids: readonly string[] };

/** The transactions from here until the returned function is called, in order. */
export async function watchTransactions(pool: Pool): Promise<() => Promise<readonly Audited[]>> {
  const { rows } = await pool.query<{ last: string }>('SELECT coalesce(max(id), 0) AS last FROM audit');
  return async () => {
    const sql = `SELECT array_agg(DISTINCT "table") AS tables, array_agg(DISTINCT aggregate::text) AS ids
      FROM audit WHERE id > $1 GROUP BY tx ORDER BY min(id)`;
    return (await pool.query<Audited>(sql, [rows[0]?.last])).rows;
  };
}
