/**
 * What a lab consists of. `pnpm lab new` writes it and the anatomy gate checks it, both from this description.
 */
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parts } from './hints.ts';
import { isMissing, isRecord, type Lab } from './labs.ts';

/** The rooms of the house, in reading order. */
export const stages = [
  { name: 'language', english: 'Language', title: '语言' },
  { name: 'web', english: 'Web', title: 'Web 开发' },
  { name: 'data', english: 'Data', title: '数据存储' },
  { name: 'distributed', english: 'Distributed', title: '分布式' },
  { name: 'engineering', english: 'Engineering', title: '工程化' },
  { name: 'architecture', english: 'Architecture', title: '架构与设计' },
  { name: 'projects', english: 'Projects', title: '综合项目' },
] as const;

/** The stages in reading order; then any that only a folder knows of. */
export function stagesOf(labs: readonly Pick<Lab, 'stage'>[]): { name: string; title: string; english: string }[] {
  const known: { name: string; title: string; english: string }[] = [...stages];
  const strays = new Set(labs.map((lab) => lab.stage).filter((name) => !known.some((stage) => stage.name === name)));
  const all = [...known, ...[...strays].map((name) => ({ name, title: name, english: '' }))];
  return all.filter((stage) => labs.some((lab) => lab.stage === stage.name));
}

/** What the templates and rules need to know of a lab. */
export type LabOutline = {
  readonly name: string;
  readonly stage: string;
  readonly title: string;
  readonly description: string;
};

/** Lower case words joined by hyphens: a folder, a package name and an argument at once. */
export const labNamePattern = /^[a-z][a-z0-9]*(-[a-z0-9]+)*$/;

/** English, then Chinese: `Redlock 红锁`. */
export const titlePattern = /^[A-Za-z0-9].*\p{Script=Han}/u;

export type LineBudget = {
  /** As a finding names it. */
  readonly part: string;
  /** Its files, relative to the lab. */
  readonly files: string;
  /** In all of them together, blank lines and comments included. */
  readonly lines: number;
  readonly remedy: string;
};

/** What can be read in one sitting. Above it the gates warn; above `budgetSlack` times it they fail. */
export const lineBudgets: readonly LineBudget[] = [
  { part: 'src', files: 'src/**/*.{ts,tsx}', lines: 600, remedy: 'an option that no story needs goes' },
  { part: 'test', files: 'test/**/*.ts', lines: 700, remedy: 'laws that say the same become one' },
  { part: 'demo.ts', files: 'demo.ts', lines: 250, remedy: 'a scene that proves no claim of its own goes' },
];

/** Code that a tool makes of a contract beside it, or that another lab teaches: nobody reads it here, and no budget counts it. */
export const unreadCode = '{**/*{_pb,.gen}.ts,**/vendor/**}';

/** A comment of the README (a marker, what is given to an example) is for the tools, and does not count. */
export const readmeBudget = { lines: 150, remedy: 'a reader has one sitting: cut it' } as const;
export const pitfallBudget = { least: 6, most: 12 } as const;
/** Longer than that, and nobody waits for the point. */
export const demoBudgetMs = 12_000;
export const budgetSlack = 1.5;

/** Where a lab is beyond a budget for a reason. */
export const larger = {
  remedy: 'or say in package.json why this lab must be larger: "lab": { "larger": "REASON" }',
} as const;

export type ReadmeSection = { readonly heading: string; readonly what: string; readonly required: boolean };

/** The `##` sections of a lab's README, in order. Above the first stand the `# English 中文` title and the objectives. */
export const readmeSections: readonly ReadmeSection[] = [
  {
    heading: 'What goes wrong',
    required: true,
    what: 'the failure as a user meets it, with the figure that the demo measures',
  },
  { heading: 'The idea', required: true, what: 'the analogy, then what it stands for' },
  { heading: 'How it works', required: true, what: 'a mermaid diagram and the rules, each with its reason' },
  { heading: 'Run it', required: true, what: 'the command and a sample run between markers' },
  { heading: 'Read the code', required: true, what: 'the lines of src/ that carry the idea, quoted between markers' },
  { heading: 'Pitfalls', required: true, what: 'a line for each file of pitfalls/: the flaw and what it breaks' },
  {
    heading: 'When not to use it',
    required: true,
    what: 'the cheaper or stronger alternative, and where the line runs',
  },
  { heading: 'Further reading', required: true, what: 'primary sources' },
];

export type LabFile = {
  /** Relative to the lab; `NAME` stands for the lab's name; a glob where several files are meant. */
  readonly path: string;
  /** At least one file must match. */
  readonly required: boolean;
  readonly what: string;
  /** Where `pnpm lab new` writes `template`, for a `path` that is a glob; default: `path`. */
  readonly scaffoldAs?: string;
  readonly template?: (lab: LabOutline) => string;
};

/** Every file that a lab may have. A file that matches none of these is a stray. */
export const labFiles: readonly LabFile[] = [
  { path: 'README.md', required: true, what: `the lesson, at most ${readmeBudget.lines} lines`, template: readme },
  { path: 'package.json', required: true, what: 'the manifest', template: manifest },
  { path: 'tsconfig.json', required: true, what: 'three lines that extend the base', template: tsconfig },
  { path: 'src/index.ts', required: true, what: 'the reference, what a reader copies', template: index },
  {
    path: 'src/**/*.ts',
    required: false,
    what: 'one concept a file, 250 to 600 lines in all',
    scaffoldAs: 'src/NAME.ts',
    template: source,
  },
  { path: 'src/**/*.{tsx,css}', required: false, what: 'what a browser shows, where that is the lesson' },
  { path: 'src/{Dockerfile,.dockerignore}', required: false, what: 'what an image is built from' },
  { path: 'src/openapi.json', required: false, what: 'a contract of HTTP; the types made of it stand beside it' },
  { path: '{src,test}/**/*.proto', required: false, what: 'a contract; what buf makes of it stands beside it' },
  {
    path: 'openapi.json',
    required: false,
    what: 'the contract of its HTTP API, generated from the routes: clients are made from it',
  },
  { path: 'buf{,.gen}.yaml', required: false, what: 'how the contracts are linted, guarded and turned into code' },
  {
    path: 'demo.ts',
    required: true,
    what: 'the story in at most 250 lines and 12 s: failure measured, fix measured, verdict',
    template: demo,
  },
  { path: 'exercise/index.ts', required: true, what: 'the stub, with the exported types of src', template: exercise },
  {
    path: 'exercise/hints.md',
    required: true,
    what: 'core laws in teaching order, hardening laws, hints under them',
    template: hints,
  },
  { path: 'exercise/**/*.ts', required: false, what: 'more of the stub' },
  {
    path: 'pitfalls/*.ts',
    required: true,
    what: 'six to twelve known-bad variants, each with one flaw and a header: Flaw / Seen in / Caught by',
    scaffoldAs: 'pitfalls/forgotten.ts',
    template: pitfall,
  },
  {
    path: 'test/NAME.test.ts',
    required: true,
    what: 'the suite, as laws on #lab: at most 700 lines in all of test/',
    template: suite,
  },
  { path: 'test/**/*.ts', required: false, what: 'more of the suite; types.test-d.ts where inference is the lesson' },
  { path: 'test/*.py', required: false, what: 'a client in another language' },
  { path: 'test/*/tsconfig.json', required: false, what: 'where a part of the suite needs other compiler options' },
  { path: 'bench.ts', required: false, what: 'ratios against peers, in one run' },
  { path: 'examples/*.ts', required: false, what: 'runnable stories beside the demo: pnpm lab NAME EXAMPLE' },
  { path: 'mutants.md', required: false, what: 'the random changes that no law noticed, judged: pnpm lab mutate' },
  { path: 'picture.svg', required: false, what: 'the one chart of a real run, drawn by pnpm fix' },
  { path: 'screenshots/*.png', required: false, what: 'what a page looks like, for the README' },
  { path: 'vitest.config.ts', required: false, what: 'only where the lab needs a transform of its own' },
];

export type ManifestField = {
  /** Path into `package.json`. */
  readonly path: readonly string[];
  readonly holds: (value: unknown, lab: { readonly name: string; readonly stage: string }) => boolean;
  /** What belongs there, as the end of the sentence "`path` must be …". */
  readonly remedy: string;
};

/** Fields of a lab's `package.json` beyond those that `readLab` needs and checks itself. */
export const manifestFields: readonly ManifestField[] = [
  { path: ['private'], holds: (value) => value === true, remedy: 'true: a lab is copied, never published' },
  { path: ['type'], holds: (value) => value === 'module', remedy: '"module"' },
  { path: ['version'], holds: (value) => value === '0.0.0', remedy: '"0.0.0"' },
  {
    path: ['lab', 'stage'],
    holds: (value) => stages.some((stage) => stage.name === value),
    remedy: `one of ${stages.map((stage) => stage.name).join(', ')}`,
  },
  {
    path: ['lab', 'title'],
    holds: (value) => typeof value === 'string' && titlePattern.test(value),
    remedy: 'English, then Chinese: "Redlock 红锁"',
  },
  {
    path: ['lab', 'larger'],
    holds: (value) => value === undefined || (typeof value === 'string' && value.trim() !== ''),
    remedy: 'one line that says why this lab must be larger than the budgets, or absent',
  },
  {
    path: ['lab', 'unproven'],
    holds: (value) => value === undefined || (typeof value === 'number' && Number.isInteger(value) && value > 0),
    remedy: 'the number of laws that need a mongod and have run on none yet, or absent',
  },
  {
    path: ['lab', 'after'],
    holds: (value) => value === undefined || (Array.isArray(value) && value.every((name) => typeof name === 'string')),
    remedy: 'the names of the labs that lead to this one, or absent',
  },
  {
    path: ['lab', 'seconds'],
    holds: (value) => value === undefined || (typeof value === 'number' && value > 0),
    remedy: 'what the demo takes, or absent: `pnpm fix` writes it',
  },
  {
    path: ['imports', '#lab'],
    holds: (value) => value === './src/index.ts',
    remedy: '"./src/index.ts": the suite imports the lab as #lab, so that it can grade any implementation',
  },
  { path: ['exports'], holds: (value) => value === './src/index.ts', remedy: '"./src/index.ts"' },
  { path: ['scripts', 'test'], holds: (value) => value === 'lab-test', remedy: '"lab-test"' },
  {
    path: ['dependencies'],
    holds: (value) => value === undefined || (isRecord(value) && Object.values(value).every((v) => v === 'catalog:')),
    remedy: 'what src/ imports, each as "catalog:", and never a workspace package',
  },
];

/** The file's path in this lab, with `NAME` filled in. */
export const pathIn = (lab: { readonly name: string }, path: string): string => path.replaceAll('NAME', lab.name);

/** The files of an empty lab: path relative to the lab's folder → content. */
export function scaffold(lab: LabOutline): Map<string, string> {
  const files = new Map<string, string>();
  for (const { path, scaffoldAs, template } of labFiles) {
    if (template) files.set(pathIn(lab, scaffoldAs ?? path), template(lab));
  }
  return files;
}

/** One known-bad variant of a lab. */
export type Pitfall = {
  /** The file's name without `.ts`: `no-token`. */
  readonly name: string;
  /** Relative to the lab's folder: `pitfalls/no-token.ts`. */
  readonly file: string;
  readonly flaw: string | undefined;
  readonly seenIn: string | undefined;
  /** The name of the test that must fail. */
  readonly caughtBy: string | undefined;
};

/** The pitfalls of the lab in `dir`, by name; none where it has no such folder. */
export async function readPitfalls(dir: string): Promise<Pitfall[]> {
  let names: string[];
  try {
    names = await readdir(join(dir, 'pitfalls'));
  } catch (error) {
    if (isMissing(error)) return [];
    throw error;
  }
  return Promise.all(
    names
      .filter((name) => name.endsWith('.ts'))
      .sort()
      .map(async (name) => {
        const file = `pitfalls/${name}`;
        const header = readPitfallHeader(await readFile(join(dir, file), 'utf8'));
        return { name: name.slice(0, -'.ts'.length), file, ...header };
      }),
  );
}

/**
 * The three fields of a pitfall's leading `//` comment. A line that opens no field continues the one above;
 * a field that is missing or empty is undefined.
 */
export function readPitfallHeader(text: string): Pick<Pitfall, 'flaw' | 'seenIn' | 'caughtBy'> {
  const fields = new Map<string, string>();
  let current: string | undefined;
  for (const line of text.split(/\r?\n/)) {
    const comment = /^\/\/ ?(.*)$/.exec(line.trim())?.[1];
    if (comment === undefined) break;
    const opened = /^(Flaw|Seen in|Caught by):\s*(.*)$/.exec(comment);
    if (opened) {
      current = opened[1];
      fields.set(current ?? '', (opened[2] ?? '').trim());
    } else if (current !== undefined) {
      fields.set(current, `${fields.get(current) ?? ''} ${comment.trim()}`.trim());
    }
  }
  const field = (name: string) => fields.get(name) || undefined;
  return { flaw: field('Flaw'), seenIn: field('Seen in'), caughtBy: field('Caught by') };
}

const camel = (name: string) => name.replace(/-([a-z0-9])/g, (_, letter: string) => letter.toUpperCase());

/** The law that an empty lab starts with, until its author writes the first real one. */
const firstLaw = 'TODO: the first law, as a sentence that is true of every correct implementation';

function manifest({ name, stage, title, description }: LabOutline): string {
  const value = {
    name: `@labs/${name}`,
    version: '0.0.0',
    private: true,
    type: 'module',
    description,
    lab: { stage, title, services: [] },
    imports: { '#lab': './src/index.ts' },
    exports: './src/index.ts',
    scripts: { demo: 'node demo.ts', test: 'lab-test' },
    devDependencies: { '@shared/story': 'workspace:*', '@shared/testkit': 'workspace:*', vitest: 'catalog:' },
  };
  return `${JSON.stringify(value, undefined, 2)}\n`.replace(/\{\n\s*("#lab": [^\n]*)\n\s*\}/, '{ $1 }');
}

function tsconfig(): string {
  return '{\n  "extends": "../../../tsconfig.base.json",\n  "include": ["."]\n}\n';
}

function readme({ name, title, description }: LabOutline): string {
  const bodies: Record<string, string> = { 'Run it': `\`\`\`sh\nnpx pnpm lab ${name}\n\`\`\`` };
  return `${[
    `# ${title}`,
    `${description}.`,
    'After this lab you can say:\n\n- TODO: three to eight things that the core laws prove',
    ...readmeSections.flatMap(({ heading, what }) => [`## ${heading}`, bodies[heading] ?? `TODO: ${what}`]),
  ].join('\n\n')}\n`;
}

function index({ name }: LabOutline): string {
  return `export { ${camel(name)} } from './${name}.ts';\n`;
}

function source({ name }: LabOutline): string {
  return `/** TODO: what it promises; units, defaults and the errors that it throws. */
export function ${camel(name)}(): string {
  return 'TODO: the reference';
}
`;
}

function exercise({ name }: LabOutline): string {
  return `/** TODO: the task, as the promise that the laws check. */
export function ${camel(name)}(): string {
  throw new Error('${camel(name)} is yours to write: see this file and press h for a hint');
}
`;
}

function hints(): string {
  return `# ${parts.core}

## ${firstLaw}

TODO: a question that points at the cause.

TODO: the term to look up.

TODO: the shape of the code.

# ${parts.hardening}
`;
}

function pitfall({ name }: LabOutline): string {
  return `// Flaw: TODO: the one mistake in this variant, and what it breaks.
// Seen in: TODO: the issue or post where it happened
// Caught by: ${firstLaw}
export function ${camel(name)}(): string {
  return 'TODO: the reference, with the flaw';
}
`;
}

function suite({ name }: LabOutline): string {
  return `import { describe, expect, test } from 'vitest';
import { ${camel(name)} } from '#lab';

describe('${name}', () => {
  test('${firstLaw}', () => {
    expect(${camel(name)}()).toBe('what the law promises');
  });
});
`;
}

const quoted = (text: string): string => (/['\\]/.test(text) ? JSON.stringify(text) : `'${text}'`);

function demo({ title, description }: LabOutline): string {
  return `import { tell } from '@shared/story';

await tell({ title: ${quoted(title)}, subtitle: ${quoted(description)}, dir: import.meta.dirname }, async (story) => {
  await story.scene('What goes wrong', async () => {
    story.say('TODO: cause the failure and measure it.');
    story.verdict('TODO: the claim that this scene proves', 'nothing measured yet', false);
  });
});
`;
}
