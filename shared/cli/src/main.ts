import { enableCompileCache } from 'node:module';
import { resolve } from 'node:path';

// Before anything else is loaded: the cache only serves what is imported after it.
enableCompileCache();
const { cli } = await import('./cli.ts');

const write = (stream: NodeJS.WriteStream) => (text: string) => void stream.write(text);

// A reader that left (`| head`) wants no more.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error;
  process.exit();
});

process.exitCode = await cli({
  words: process.argv.slice(2),
  root: resolve(process.env['LABS_ROOT'] ?? resolve(import.meta.dirname, '../../..')),
  // pnpm runs scripts in the package's folder and remembers where it was called.
  cwd: process.env['INIT_CWD'] ?? process.cwd(),
  env: process.env,
  out: {
    write: write(process.stdout),
    columns: process.stdout.columns || 80,
    interactive: process.stdout.isTTY === true,
  },
  err: { write: write(process.stderr) },
});
