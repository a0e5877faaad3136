import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { LabCard, LabData, LawInfo, MapData, PitfallInfo, Progress } from '@shared/web';
import { type Pitfall, readPitfalls, stagesOf } from '../anatomy.ts';
import { filesUnder, textOf } from '../check/files.ts';
import { examplesOf } from '../commands/run.ts';
import { type Hints, readHints } from '../hints.ts';
import type { Lab } from '../labs.ts';
import type { LabProgress } from '../progress-file.ts';
import { type SuiteLaw, suiteLaws } from '../suite-laws.ts';
import { Reference } from './flaw.ts';

/** What the pages cannot read from a lab's folder. */
export interface Known {
  readonly progress: ReadonlyMap<string, LabProgress>;
  /** For each server that a lab names: whether it could be had now. */
  readonly atHand: ReadonlyMap<string, boolean>;
  /** Seconds that a lab's demo took when it was last told here. */
  readonly seconds: ReadonlyMap<string, number>;
}

/** The labs by stage. */
export async function mapData(labs: readonly Lab[], known: Known): Promise<MapData> {
  const rooms = stagesOf(labs);
  const ordered = rooms.flatMap(({ name }) => labs.filter(({ stage }) => stage === name));
  return {
    stages: rooms.map(({ name, english, title }) => ({ name, english: english || title, chinese: title })),
    labs: await Promise.all(ordered.map((lab) => cardOf(lab, known))),
  };
}

async function cardOf(lab: Lab, known: Known, read?: { hints: Hints; pitfalls: number }): Promise<LabCard> {
  const { hints, pitfalls } = read ?? {
    hints: await readHints(lab.dir),
    pitfalls: (await readPitfalls(lab.dir)).length,
  };
  const seconds = known.seconds.get(lab.name) ?? lab.seconds;
  const progress = known.progress.get(lab.name);
  return {
    name: lab.name,
    stage: lab.stage,
    title: lab.title,
    description: lab.description,
    services: lab.services,
    missing: lab.services.filter((service) => known.atHand.get(service) === false),
    coreLaws: hints.core.length,
    pitfalls,
    after: lab.after ?? [],
    ...(seconds === undefined ? {} : { demoSeconds: seconds }),
    ...(progress === undefined ? {} : { progress: toProgress(progress) }),
  };
}

const toProgress = ({ core, hardening, understood, solved }: LabProgress): Progress => ({
  core,
  hardening,
  understood: understood !== undefined,
  solved: solved !== undefined,
});

export async function labData(lab: Lab, known: Known): Promise<LabData> {
  const [readme, picture, examples, pitfalls, hints, laws, reference, files] = await Promise.all([
    textOf(join(lab.dir, 'README.md')),
    textOf(join(lab.dir, 'picture.svg')),
    examplesOf(lab.dir),
    readPitfalls(lab.dir),
    readHints(lab.dir),
    suiteLaws(lab.dir),
    Reference.of(lab.dir),
    sourcesOf(lab.dir),
  ]);
  return {
    card: await cardOf(lab, known, { hints, pitfalls: pitfalls.length }),
    readme: readme ?? '',
    ...(picture === undefined ? {} : { picture }),
    examples,
    laws: lawsOf(laws, hints),
    pitfalls: pitfalls.map((pitfall) => pitfallOf(pitfall, files[pitfall.file] ?? '', reference)),
    files,
  };
}

function lawsOf(laws: readonly SuiteLaw[], hints: Hints): readonly LawInfo[] {
  const core = hints.core.map((name, place) => ({ name, core: place }));
  const others = laws.filter(({ pattern }) => !hints.core.some((name) => pattern.test(name)));
  const named = ({ text, pattern: { source } }: SuiteLaw): LawInfo =>
    source.includes('.+') ? { name: text, names: source } : { name: text };
  return [...core, ...others.map(named)];
}

function pitfallOf(pitfall: Pitfall, text: string, reference: Reference): PitfallInfo {
  const lines = text.split('\n');
  const source = lines.slice(lines.findIndex((line) => !line.startsWith('//'))).join('\n');
  return {
    name: pitfall.name,
    flaw: pitfall.flaw ?? '',
    seenIn: pitfall.seenIn ?? '',
    caughtBy: pitfall.caughtBy ?? '',
    source,
    diff: reference.diff(pitfall.file, text),
  };
}

/** What there is to read in a lab, in the order in which one reads it; after them, all else that lies in its folder. */
const parts = ['src/', 'demo.ts', 'examples/', 'test/', 'pitfalls/', 'exercise/', 'bench.ts', 'mutants.md'];
const partOf = (name: string): number => parts.findIndex((part) => name.startsWith(part));
const rankOf = (name: string): number => (partOf(name) < 0 ? parts.length : partOf(name));
/** Above that, a file is nothing to read in a page. */
const most = 200_000;

async function sourcesOf(dir: string): Promise<Record<string, string>> {
  const names = (await filesUnder(dir)).filter((file) => /\.(ts|tsx|sql|lua|proto|json|md|yaml|graphql)$/.test(file));
  const readable = await Promise.all(
    names
      .filter((name) => partOf(name) >= 0 || (!name.includes('/') && name !== 'README.md'))
      .map(async (name): Promise<[string, string][]> => {
        const file = join(dir, name);
        return (await stat(file)).size > most ? [] : [[name, await readFile(file, 'utf8')]];
      }),
  );
  return Object.fromEntries(readable.flat().toSorted(([a], [b]) => rankOf(a) - rankOf(b)));
}
