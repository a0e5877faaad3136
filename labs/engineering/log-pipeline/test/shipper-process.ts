// Ships until it is killed: `shipper-process.ts URL PREFIX FOLDER`.
import { join } from 'node:path';
import { Client } from '@opensearch-project/opensearch';
import { BulkSink, Shipper } from '#lab';

const [, , node = '', prefix = '', folder = ''] = process.argv;
const sink = new BulkSink(new Client({ node }), { prefix, deadLetterPath: join(folder, 'dead.ndjson') });
const paths = { path: join(folder, 'till.log'), offsetPath: join(folder, 'till.offset') };
process.send?.('ships');
await new Shipper({ ...paths, sink, host: 'shop', batchEvents: 250, pollMs: 5 }).run(new AbortController().signal);
