import { constants } from 'node:fs';
import { access, mkdir, readdir, writeFile } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { openGrader } from '@shared/testkit';
import type { JudgedLaw, LabData, Message } from '@shared/web';
import { buildPage } from '@shared/web/build';
import type { Context } from '../context.ts';
import { CommandError, exit } from '../errors.ts';
import { isRecord, type Lab } from '../labs.ts';
import { filesOf, suiteLaws } from '../suite-laws.ts';
import { labData, mapData } from './data.ts';
import { html } from './files.ts';
import { lastEvent, Runs, secondsAt } from './runs.ts';

/**
 * Writes the pages as files that need no server: every demo is told and every pitfall is caught once, and both are kept.
 *
 * @returns 1 where a demo did not come out; its pages are written all the same, and say so.
 */
export async function record(context: Context, labs: readonly Lab[], dir: string): Promise<number> {
  const { out } = context;
  await prepare(dir);
  const seconds = new Map<string, number>();
  const pages: LabData[] = [];
  let failed = 0;
  await using recorder = new Recorder();
  for (const lab of labs) {
    out.write(`${lab.name} … `);
    const told = await recorder.demo(lab);
    const last = lastEvent(told);
    const sound = last?.type === 'end' && last.exitCode === 0;
    if (last) seconds.set(lab.name, secondsAt(last));
    const data = await labData(lab, { progress: new Map(), atHand: new Map(), seconds });
    const caught = await recorder.pitfalls(lab, data);
    const pitfalls = data.pitfalls.map((pitfall) => {
      const recorded = caught.get(pitfall.name);
      return recorded === undefined ? pitfall : { ...pitfall, recorded };
    });
    pages.push({ ...data, pitfalls, recorded: told });
    out.write(sound ? `told, ${caught.size} pitfalls judged\n` : 'its demo did not come out\n');
    if (!sound) failed += 1;
  }
  await mkdir(join(dir, 'data'), { recursive: true });
  const map = await mapData(labs, { progress: new Map(), atHand: new Map(), seconds });
  await writeFile(join(dir, 'index.html'), html({ live: false }));
  for (const [name, content] of await buildPage()) await writeFile(join(dir, name), content);
  await writeFile(join(dir, 'data', 'map.js'), script('map', map));
  for (const page of pages)
    await writeFile(join(dir, 'data', `lab-${page.card.name}.js`), script(`lab-${page.card.name}`, page));
  out.write(`\nopen ${relative(context.cwd, join(dir, 'index.html')) || 'index.html'}\n`);
  return failed === 0 ? exit.done : exit.failed;
}

/**
 * Makes the folder, before a demo is told for nothing.
 *
 * @throws {CommandError} where nothing can be written, or where it holds what is not ours.
 */
async function prepare(dir: string): Promise<void> {
  const names = await mkdir(dir, { recursive: true })
    .then(() => access(dir, constants.W_OK))
    .then(() => readdir(dir))
    .catch((cause: unknown): never => {
      const why = isRecord(cause) ? cause['code'] : cause;
      throw new CommandError(`${dir} can't be a folder of pages (${why}): name another`, { cause });
    });
  const ours = await access(join(dir, 'data', 'map.js')).then(
    () => true,
    () => false,
  );
  if (names.length > 0 && !ours)
    throw new CommandError(`${dir} holds other things than pages of ours: name a new folder`);
}

/** A page opened from a folder may fetch nothing; a script may come from anywhere. */
const script = (name: string, value: unknown): string =>
  `(globalThis.conceptLabs ??= new Map()).set(${JSON.stringify(name)}, ${JSON.stringify(value)});\n`;

class Recorder {
  readonly #runs = new Runs();

  async demo(lab: Lab): Promise<readonly Message[]> {
    const id = await this.#runs.start(lab, { kind: 'demo', lab: lab.name });
    const messages: Message[] = [];
    await new Promise<void>((resolve) => {
      this.#runs.follow(id, 0, (message) => {
        messages.push(message);
        if (message.type === 'ended') resolve();
      });
    });
    return messages;
  }

  /** How the law of each pitfall ended on it; without those whose law could not be judged. */
  async pitfalls({ dir }: Lab, { pitfalls }: LabData): Promise<ReadonlyMap<string, JudgedLaw>> {
    const laws = await suiteLaws(dir);
    await using grader = openGrader(dir);
    const found = await Promise.all(
      pitfalls.map(async ({ name, caughtBy }): Promise<[string, JudgedLaw][]> => {
        const files = filesOf(laws, [caughtBy]);
        if (files.length === 0) return [];
        const { tests } = await grader.run({ impl: `pitfalls/${name}.ts`, testNames: [caughtBy], files });
        return tests
          .filter((test) => test.name === caughtBy)
          .map(({ name: law, state, ms, error }) => [
            name,
            { name: law, state, ms, ...(error === undefined ? {} : { error }) },
          ]);
      }),
    );
    return new Map(found.flat());
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#runs.close();
  }
}
