import { randomUUID } from 'node:crypto';
import { mkdir, open, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { isMissing, isRecord } from './labs.ts';

/** Laws that held in a run, of those that it judged; both 0 where none has judged any. */
export type Count = { readonly green: number; readonly total: number };

/** How far the learner is with one lab. */
export type LabProgress = {
  /** ISO 8601, as are the other times. */
  readonly started: string;
  /** Of the last run. */
  readonly core: Count;
  /** Of the last run that judged them; all laws, where the lab did not name its core laws then. */
  readonly hardening: Count;
  /** The first time that every core law held; kept when a later run is red, as is `solved`. */
  readonly understood?: string;
  /** The first time that every law held. */
  readonly solved?: string;
};

/** What one run found. */
export type Run = {
  readonly core: Count;
  /** Absent where only the core laws were judged. */
  readonly hardening?: Count;
  readonly understood: boolean;
  readonly solved: boolean;
};

const none: Count = { green: 0, total: 0 };

/** The learner's own record, in `.labs/progress.json` of the repository, which git ignores. */
export class ProgressFile {
  readonly #root: string;
  readonly #path: string;
  readonly #warn: (sentence: string) => void;
  #last: Promise<void> = Promise.resolve();

  /** @param warn is told when the file was damaged and had to be set aside. */
  constructor(root: string, warn: (sentence: string) => void) {
    this.#root = root;
    this.#path = join(root, '.labs', 'progress.json');
    this.#warn = warn;
  }

  /** Progress by lab name; empty where there is none yet. A damaged file is set aside, never overwritten. */
  async read(): Promise<Map<string, LabProgress>> {
    let text: string;
    try {
      text = await readFile(this.#path, 'utf8');
    } catch (error) {
      if (isMissing(error)) return new Map();
      throw error;
    }
    const labs = parse(text);
    if (labs) return labs;
    const aside = `${this.#path}.damaged-${Date.now()}`;
    await rename(this.#path, aside);
    this.#warn(
      `.labs/progress.json was damaged; it is kept as ${relative(this.#root, aside)}, and progress starts anew`,
    );
    return new Map();
  }

  async started(lab: string, now = new Date()): Promise<void> {
    await this.#update(lab, (old) => old ?? { started: now.toISOString(), core: none, hardening: none });
  }

  async record(lab: string, run: Run, now = new Date()): Promise<void> {
    const time = now.toISOString();
    await this.#update(lab, (old) => {
      const understood = old?.understood ?? (run.understood ? time : undefined);
      const solved = old?.solved ?? (run.solved ? time : undefined);
      // A count from before the lab named its core laws holds both kinds.
      const mixed = run.core.total > 0 && old?.core.total === 0;
      const before = mixed ? none : old?.hardening;
      return {
        started: old?.started ?? time,
        core: run.core,
        hardening: run.hardening ?? before ?? none,
        ...(understood ? { understood } : {}),
        ...(solved ? { solved } : {}),
      };
    });
  }

  /** One update after the other: each builds on what the one before wrote. */
  #update(lab: string, change: (old: LabProgress | undefined) => LabProgress): Promise<void> {
    const turn = this.#last.then(() => this.#write(lab, change));
    this.#last = turn.catch(() => {});
    return turn;
  }

  async #write(lab: string, change: (old: LabProgress | undefined) => LabProgress): Promise<void> {
    const labs = await this.read();
    labs.set(lab, change(labs.get(lab)));
    const folder = join(this.#root, '.labs');
    await mkdir(folder, { recursive: true });
    await ignoreFolder(folder);
    // Written aside and renamed, so that a crash leaves the old file or the new one, never half of it.
    const aside = `${this.#path}.${randomUUID()}`;
    await writeFile(aside, `${JSON.stringify({ version: 2, labs: Object.fromEntries(labs) }, undefined, 2)}\n`);
    try {
      await rename(aside, this.#path);
    } catch (error) {
      await rm(aside, { force: true });
      throw error;
    }
  }
}

/** The folder ignores itself, so that no repository needs to know of it. */
export async function ignoreFolder(folder: string): Promise<void> {
  try {
    const file = await open(join(folder, '.gitignore'), 'wx');
    await file.writeFile('*\n');
    await file.close();
  } catch (error) {
    if (!isRecord(error) || error['code'] !== 'EEXIST') throw error;
  }
}

function parse(text: string): Map<string, LabProgress> | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (!isRecord(value) || !isRecord(value['labs'])) return undefined;
  const labs = new Map<string, LabProgress>();
  for (const [name, entry] of Object.entries(value['labs'])) {
    if (!isRecord(entry)) return undefined;
    const { started, understood, solved } = entry;
    // Version 1 counted all laws as one.
    const [core, hardening] =
      'total' in entry ? [none, countOf(entry)] : [countOf(entry['core']), countOf(entry['hardening'])];
    if (typeof started !== 'string' || !core || !hardening) return undefined;
    labs.set(name, {
      started,
      core,
      hardening,
      ...(typeof understood === 'string' ? { understood } : {}),
      ...(typeof solved === 'string' ? { solved } : {}),
    });
  }
  return labs;
}

function countOf(value: unknown): Count | undefined {
  if (!isRecord(value)) return undefined;
  const { green, total } = value;
  return typeof green === 'number' && typeof total === 'number' ? { green, total } : undefined;
}
