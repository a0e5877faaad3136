import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { buildPage } from '@shared/web/build';
import colors from 'picocolors';
import { type Context, labNamed, labsOf } from '../context.ts';
import { exit, UsageError } from '../errors.ts';
import { isMissing, isRecord, type Lab } from '../labs.ts';
import { ignoreFolder, ProgressFile } from '../progress-file.ts';
import { availability } from '../servers.ts';
import type { Known } from '../web/data.ts';
import { lastEvent, secondsAt } from '../web/runs.ts';
import { serve } from '../web/server.ts';

export interface WebCommandOptions {
  /** A folder that gets the pages as files, with recorded runs. */
  readonly build?: string;
  readonly port?: number;
}

/** Milliseconds after which it is asked again which servers could be had. */
const atHandMs = 30_000;

/** `pnpm lab web`: the labs in the browser; or as files, recorded, with `--build DIR`. */
export async function web(context: Context, names: readonly string[], options: WebCommandOptions): Promise<number> {
  if (options.build !== undefined) {
    const labs =
      names.length === 0
        ? await labsOf(context)
        : await Promise.all([...new Set(names)].map((n) => labNamed(context, n)));
    const { record } = await import('../web/record.ts');
    return await record(context, labs, resolve(context.cwd, options.build));
  }
  if (names.length > 0) throw new UsageError('names are for --build: without it, the pages show all labs');
  const durations = new Durations(context.root);
  const labs = () => labsOf(context);
  // Asked for anew each time would be a second a page: servers come and go more seldom.
  let asked: Promise<Map<string, boolean>> | undefined;
  const forget = () => {
    asked = undefined;
  };
  const atHand = () => {
    if (asked === undefined) {
      asked = labs().then(availability);
      asked.then(() => setTimeout(forget, atHandMs).unref(), forget);
    }
    return asked;
  };
  void atHand();
  const known = async (): Promise<Known> => {
    const progress = new ProgressFile(context.root, (sentence) => context.err.write(`warning: ${sentence}\n`));
    return { atHand: await atHand(), progress: await progress.read(), seconds: await durations.read() };
  };
  await using server = await serve({
    labs,
    known,
    files: await buildPage(),
    port: options.port ?? 0,
    told: (lab, messages) => {
      const last = lastEvent(messages);
      if (last) void durations.note(lab, secondsAt(last)).catch(() => {});
    },
  });
  context.out.write(`\n  ${colors.bold('Concept Labs')}  ${colors.cyan(server.url)}\n`);
  context.out.write(`  ${colors.dim('for this machine alone; Ctrl-C ends it')}\n\n`);
  await new Promise<void>((leave) => {
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, () => leave());
  });
  return exit.done;
}

/** Seconds that demos took on this machine, in `.labs/durations.json`, which git ignores. */
class Durations {
  readonly #file: string;
  readonly #folder: string;

  constructor(root: string) {
    this.#folder = join(root, '.labs');
    this.#file = join(this.#folder, 'durations.json');
  }

  async read(): Promise<ReadonlyMap<string, number>> {
    try {
      const value: unknown = JSON.parse(await readFile(this.#file, 'utf8'));
      const entries = isRecord(value) ? Object.entries(value) : [];
      return new Map(entries.filter((entry): entry is [string, number] => typeof entry[1] === 'number'));
    } catch (error) {
      if (isMissing(error) || error instanceof SyntaxError) return new Map();
      throw error;
    }
  }

  async note({ name }: Lab, seconds: number): Promise<void> {
    const known = { ...Object.fromEntries(await this.read()), [name]: seconds };
    await mkdir(this.#folder, { recursive: true });
    await ignoreFolder(this.#folder);
    await writeFile(this.#file, `${JSON.stringify(known)}\n`);
  }
}
