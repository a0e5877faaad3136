import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { createEngine } from '@secretlint/node';
import { creator } from '@secretlint/secretlint-rule-preset-recommend';
import { Linter } from 'eslint';
import security from 'eslint-plugin-security';
import { scan } from '../src/index.ts';
import { corpus, type Twin } from './corpus/index.ts';

type Programs = Readonly<Record<string, string>>;

/** Whether a tool says anything about a program. */
export type Judge = (files: Programs) => Promise<boolean>;

/** What somebody writes on his first day: the dangerous words, a line at a time. */
export const grep: Judge = async (files) =>
  Object.values(files).some((text) =>
    /\b(?:eval|Function|exec|execSync|spawn)\s*\(|password|secret|api_?key|token|SELECT .*\+|Math\.random|md5|sha1|innerHTML|rejectUnauthorized|readFile/i.test(
      text,
    ),
  );

/** Its recommended rules. */
export const eslintSecurity: Judge = async (files) => {
  const linter = new Linter();
  const plugins = { security: { rules: security.rules } };
  return Object.entries(files).some(([name, text]) => {
    const sourceType = text.includes('require(') ? 'commonjs' : 'module';
    const languageOptions = { sourceType, parserOptions: { ecmaFeatures: { jsx: true } } } as const;
    const rules = security.configs['recommended']?.rules ?? {};
    const config = { files: ['**/*'], plugins, languageOptions, rules };
    const messages = linter.verify(text, [config], { filename: name.replace(/tsx?$/, 'js') });
    const fatal = messages.find((message) => message.fatal);
    if (fatal) throw new Error(`eslint can't parse ${name}: ${fatal.message}\n${text}`);
    return messages.length > 0;
  });
};

/** Its recommended preset. */
export async function secretlint(): Promise<Judge> {
  const engine = await createEngine({
    cwd: import.meta.dirname,
    color: false,
    formatter: 'json',
    configFileJSON: { rules: [{ id: creator.meta.id }] },
  });
  return async (files) => {
    const results = await Promise.all(
      Object.entries(files).map(([filePath, content]) => engine.executeOnContent({ content, filePath })),
    );
    return results.some(({ ok }) => !ok);
  };
}

export type Scan = typeof scan;

/** This lab's scanner, or a variant of it. */
export const ours =
  (variant: Scan = scan): Judge =>
  async (files) => {
    const root = await mkdtemp(join(tmpdir(), 'audit-'));
    try {
      await write(root, files);
      return (await variant([root], { root })).exitCode === 1;
    } finally {
      await rm(root, { recursive: true, force: true });
    }
  };

export async function write(root: string, files: Programs): Promise<void> {
  for (const [name, text] of Object.entries(files)) {
    await mkdir(dirname(join(root, name)), { recursive: true });
    await writeFile(join(root, name), text);
  }
}

const filesOf = (given: Twin['bad']): Programs => (typeof given === 'string' ? { 'app.ts': given } : given);

export interface Score {
  readonly faults: number;
  readonly found: number;
  readonly alarms: number;
  /** Of what it says, how much is true. */
  readonly precision: number;
  /** Of what is true, how much it says. */
  readonly recall: number;
}

/** How a tool does on the corpus, or on a part of it. */
export async function score(judge: Judge, part: (twin: Twin) => boolean = () => true): Promise<Score> {
  const twins = corpus.filter(part);
  let [found, alarms] = [0, 0];
  for (const { bad, good } of twins) {
    if (await judge(filesOf(bad))) found++;
    if (await judge(filesOf(good))) alarms++;
  }
  return { faults: twins.length, found, alarms, precision: found / (found + alarms), recall: found / twins.length };
}
