import { appendFile, readFile } from 'node:fs/promises';
import { z } from 'zod';
import { FloorError, quote } from './errors.ts';
import { type Floor, highest, type Measures, NAME, type Ratchet, ratchet } from './ratchet.ts';

const RECORD = z.record(z.string().regex(NAME), z.int().min(0).max(10_000));

/** The floor that a file keeps; empty when there is no file. @throws FloorError for a line that is no floor */
export async function readFloor(file: string): Promise<Floor> {
  return highest(parse(await textOf(file)));
}

/**
 * Compares what was measured with the floor that `file` keeps, and raises that.
 *
 * The file has a line for each rise, and the floor is the highest of each figure. So nothing is ever overwritten: of two
 * runs at once both lines stay, and two branches merge by keeping both. Who wants a lower floor deletes lines, in a commit.
 *
 * @throws FloorError when the file can't be understood, InvalidArgumentError as `ratchet` does, or the file system's error
 */
export async function raiseFloor(file: string, now: Measures): Promise<Ratchet> {
  const text = await textOf(file);
  const previous = highest(parse(text));
  const result = ratchet(previous, now);
  const risen = [...result.floor].filter(([name, value]) => value !== previous.get(name));
  if (risen.length > 0) {
    // An editor may have left the last line without its end.
    const start = text === '' || text.endsWith('\n') ? '' : '\n';
    await appendFile(file, `${start}${JSON.stringify(Object.fromEntries(risen))}\n`, { flush: true });
  }
  return result;
}

async function textOf(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return '';
    throw error;
  }
}

function parse(text: string): Floor[] {
  return text.split('\n').flatMap((line, index) => (line.trim() === '' ? [] : [recordOf(line, index + 1)]));
}

/** A line that can't be read may have had the highest figure: it is never passed over. */
function recordOf(line: string, at: number): Floor {
  try {
    return new Map(Object.entries(RECORD.parse(JSON.parse(line.trim()))));
  } catch (cause) {
    throw new FloorError(`${quote(line)} is no record of a floor, as {"lines":9876} is one: repair or delete it`, at, {
      cause,
    });
  }
}
