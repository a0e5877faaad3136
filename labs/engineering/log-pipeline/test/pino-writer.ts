// As `writer.ts`, by pino alone: `pino-writer.ts FILE N transport|async SIGNAL`.
import { destination, pino, transport } from 'pino';

const [, , path = '', lines = '0', kind = '', how = 'SIGTERM'] = process.argv;
const log =
  kind === 'transport'
    ? pino(transport({ target: 'pino/file', options: { destination: path } }))
    : pino(destination({ dest: path, sync: false, minLength: 4_096 }));
await new Promise((resolve) => setTimeout(resolve, 300));
for (let n = 0; n < Number(lines); n++) log.info({ n }, 'receipt printed');
process.kill(process.pid, how === 'SIGKILL' ? 'SIGKILL' : 'SIGTERM');
setInterval(() => {}, 1_000);
