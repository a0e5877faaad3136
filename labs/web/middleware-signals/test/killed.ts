// Commits an order, and is gone before the callbacks of onCommit that come behind.
import { Pool } from 'pg';
import { Database } from '../src/index.ts';

const pool = new Pool({ connectionString: process.argv[2] });
const db = new Database({ pool, onError: console.error });
await db.atomic(async () => {
  await db.query("INSERT INTO orders (what) VALUES ('killed')");
  db.onCommit(() => process.kill(process.pid, 'SIGKILL'));
  db.onCommit(() => console.log('mail'));
});
