// Flaw: read, compare, write the whole file: of two runs at once the second writes over what the first has raised.
// Seen in: https://github.com/dfinity/oisy-wallet/pull/5798 (its "Concurrency Note")
// Caught by: of two runs at once the better one keeps its floor
import { randomUUID } from 'node:crypto';
import { rename, writeFile } from 'node:fs/promises';
import { type Measures, type Ratchet, ratchet, readFloor } from '../src/index.ts';

export * from '../src/index.ts';

export async function raiseFloor(file: string, now: Measures): Promise<Ratchet> {
  const result = ratchet(await readFloor(file), now);
  const aside = `${file}.${randomUUID()}`;
  await writeFile(aside, `${JSON.stringify(Object.fromEntries(result.floor))}\n`);
  await rename(aside, file);
  return result;
}
