// The order desk of labs/web/rest-openapi on a Postgres, as a process of its own: `#lab` means that lab there, whatever is graded
// here. It ends with its parent.
import { Pool } from 'pg';
import { bookshop } from '../../rest-openapi/test/bookshop.ts';

const pool = new Pool({ connectionString: process.argv[2] });
pool.on('error', () => {});
const { app, prepare } = await bookshop({ pool });
await prepare();
await app.listen({ port: 0, host: '127.0.0.1' });
process.on('disconnect', () => process.exit());
const [address] = app.addresses();
process.send?.(typeof address === 'object' ? address.port : undefined);
