import { readdir, realpath, stat } from 'node:fs/promises';
import { join, relative, resolve, sep } from 'node:path';
import {
  type Confidence,
  type Finding,
  fingerprints,
  inOrder,
  type Judged,
  type Rule,
  type Span,
  type Suppression,
  toSarif as sarifOf,
  suppress,
  suppressionRules,
} from './finding.ts';
import { Flows } from './flow.ts';
import { type Module, Project } from './project.ts';
import { Inspector, type Report, type RuleId, rules } from './rules.ts';
import { parseSource, readText, type Source, suppressionsOf, type Unread } from './source.ts';

export interface ScanOptions {
  /** Findings name files relative to it. Default: the current directory. */
  readonly root?: string;
  /** Only these. Default: all of them. What couldn't be read is always told. */
  readonly rules?: readonly RuleId[];
  /** Leaves out what is less likely than this. Default: `low`, so nothing. */
  readonly confidence?: Confidence;
  /** Names of files and folders that are left out, wherever they are. Default: `node_modules` and `.git`. */
  readonly ignore?: readonly string[];
  /** Fingerprints (`prints` of an earlier report) that are known and don't count. Default: none. */
  readonly baseline?: readonly string[];
  /** The largest file that is read, in bytes. Default: 1,000,000. */
  readonly maxBytes?: number;
  /** Stops between two files, with its reason. */
  readonly signal?: AbortSignal;
}

export interface ScanReport {
  /** What is new, in the order of files and lines. */
  readonly findings: readonly Finding[];
  /** A stable name for each of `findings`. */
  readonly prints: readonly string[];
  /** What the baseline knows. */
  readonly known: readonly Finding[];
  /** Of the baseline, what these paths and options no longer show: take it out, or it may come back unseen. */
  readonly gone: readonly string[];
  readonly suppressed: readonly { readonly finding: Finding; readonly reason: string }[];
  /** How many files were parsed. */
  readonly files: number;
  /** 0: nothing new was found, and everything was read. */
  readonly exitCode: 0 | 1;
}

/** What a scan can't begin with. */
export class ScanError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'ScanError';
  }
}

/**
 * Reads the files and folders `paths`, and says what in them is dangerous. Never runs them. Follows a link that is given,
 * and none that it meets.
 *
 * @throws ScanError without paths, on a path that doesn't exist or is no code, on an option that is none (a rule, a
 *   confidence, a limit, a baseline), or when the paths hold no file to scan: an empty scan finds nothing, and must not look like a clean one.
 * @throws the reason of `options.signal` when it aborts.
 */
export function scan(paths: readonly string[], options: ScanOptions = {}): Promise<ScanReport> {
  return new Scanner(options).scan(paths);
}

/** The steps of a scan, each a method of its own, so that a variant (see pitfalls/) changes just one. */
export class Scanner {
  readonly #options: ScanOptions;

  constructor(options: ScanOptions = {}) {
    this.#options = options;
  }

  /** As the function `scan`. */
  async scan(paths: readonly string[]): Promise<ScanReport> {
    const { signal, maxBytes = 1_000_000, baseline = [], ignore = ['node_modules', '.git'] } = this.#options;
    const active = activeRules(this.#options.rules);
    if (!Number.isInteger(maxBytes) || maxBytes < 1) {
      throw new ScanError(`maxBytes must be a whole number above 0; it is ${maxBytes}.`);
    }
    if (!Array.isArray(baseline) || baseline.some((print) => typeof print !== 'string')) {
      throw new ScanError('A baseline is a list of fingerprints: the `prints` of an earlier report.');
    }
    const least = this.#options.confidence ?? 'low';
    if (!levels.includes(least))
      throw new ScanError(`confidence is one of ${levels.join(', ')}, not ${String(least)}.`);
    const root = await realpath(this.#options.root ?? '.').catch(() => resolve(this.#options.root ?? '.'));
    const files = await this.files(paths, new Set(ignore), signal);

    const project = new Project();
    const found: Finding[] = [];
    const suppressions: Suppression[] = [];
    const report = (id: RuleId, file: string, span: Span, message: string, sure?: Confidence) => {
      const rule = active.get(id);
      if (rule === undefined) return;
      const { severity, confidence } = rule;
      found.push({ rule: id, severity, confidence: sure ?? confidence, message, file, span });
    };
    for (const path of files) {
      signal?.throwIfAborted();
      const file = slashed(relative(root, path));
      const source = await this.read(path, file, maxBytes);
      if ('rule' in source) report(source.rule, file, source.span, source.message);
      else {
        project.add(slashed(path), source);
        suppressions.push(...this.suppressions(source, ids).filter((each) => concerns(each, active)));
      }
    }

    const flows = this.flows(project);
    for (const module of project.modules.values()) {
      signal?.throwIfAborted();
      this.inspect(project, flows, module, (id, node, message, sure) => {
        const span = { start: module.position(node.start), end: module.position(node.end) };
        report(id, module.file, span, message, sure);
      });
    }

    const likely = found.filter(({ confidence }) => isLikely(confidence, least));
    const { findings, suppressed } = this.judge(likely.sort(inOrder), suppressions);
    const lines = new Map([...project.modules.values()].map((module) => [module.file, module.lines]));
    const prints = this.prints(findings, (file, line) => lines.get(file)?.[line - 1] ?? '');
    const old = new Set(baseline);
    const isNew = (_: unknown, index: number) => !old.has(prints[index] ?? '');
    const fresh = findings.filter(isNew);
    return {
      findings: fresh,
      prints: prints.filter(isNew),
      known: findings.filter((finding) => !fresh.includes(finding)),
      gone: baseline.filter((print) => !prints.includes(print)),
      suppressed,
      files: project.modules.size,
      exitCode: fresh.length > 0 ? 1 : 0,
    };
  }

  protected files(paths: readonly string[], ignore: ReadonlySet<string>, signal?: AbortSignal): Promise<string[]> {
    return filesIn(paths, ignore, signal);
  }

  protected async read(path: string, file: string, maxBytes: number): Promise<Source | Unread> {
    const text = await readText(path, maxBytes);
    return typeof text === 'string' ? parseSource(file, text) : text;
  }

  protected suppressions(source: Source, known: ReadonlySet<string>): Suppression[] {
    return suppressionsOf(source, known);
  }

  protected flows(project: Project): Flows {
    return new Flows(project);
  }

  protected inspect(project: Project, flows: Flows, module: Module, report: Report): void {
    const inspector = new Inspector(project, flows, report);
    for (const node of module.nodes) inspector.look(node);
  }

  protected judge(found: readonly Finding[], suppressions: readonly Suppression[]): Judged {
    return suppress(found, suppressions);
  }

  protected prints(findings: readonly Finding[], lineOf: (file: string, line: number) => string): readonly string[] {
    return fingerprints(findings, lineOf);
  }
}

/** A report as SARIF 2.1.0, with all rules. */
export const toSarif = ({ findings, prints }: Pick<ScanReport, 'findings' | 'prints'>) =>
  sarifOf({ tool: 'security-audit', version: '1.0.0', rules, findings, prints });

const ids: ReadonlySet<string> = new Set(rules.map(({ id }) => id));
const always: readonly string[] = ['syntax-error', 'unread', ...suppressionRules.map(({ id }) => id)];

function activeRules(wanted: readonly RuleId[] | undefined): ReadonlyMap<string, Rule> {
  if (wanted?.length === 0) throw new ScanError('Give a rule, or leave out `rules` for all of them.');
  const strange = wanted?.find((id) => !ids.has(id));
  if (strange !== undefined) {
    throw new ScanError(`There is no rule ${JSON.stringify(strange)}; there are ${[...ids].join(', ')}.`);
  }
  const active = rules.filter(({ id }) => !wanted || wanted.includes(id) || always.includes(id));
  return new Map(active.map((rule) => [rule.id, rule]));
}

/** A suppression of a rule that isn't looked for isn't unused. */
const concerns = ({ rules: named }: Suppression, active: ReadonlyMap<string, Rule>) =>
  named.length === 0 || named.some((id) => active.has(id));

const levels: readonly Confidence[] = ['low', 'medium', 'high'];
const isLikely = (confidence: Confidence, least: Confidence) => levels.indexOf(confidence) >= levels.indexOf(least);

const slashed = (path: string) => path.split(sep).join('/');

const isCode = (name: string) => /\.[cm]?[jt]sx?$/.test(name);

/** The files to scan, each once, in order. */
async function filesIn(
  paths: readonly string[],
  ignore: ReadonlySet<string>,
  signal: AbortSignal | undefined,
): Promise<string[]> {
  if (!Array.isArray(paths) || paths.length === 0) throw new ScanError('Give a file or a folder to scan.');
  const files = new Set<string>();
  const walk = async (folder: string): Promise<void> => {
    signal?.throwIfAborted();
    // What can't be listed is told as a file that can't be read.
    const entries = await readdir(folder, { withFileTypes: true }).catch(() => void files.add(folder));
    for (const entry of entries ?? []) {
      if (ignore.has(entry.name)) continue;
      const path = join(folder, entry.name);
      if (entry.isDirectory()) await walk(path);
      else if (entry.isFile() && isCode(entry.name)) files.add(path);
    }
  };
  for (const path of paths) {
    const real = await realpath(path).catch(() => undefined);
    if (real === undefined) throw new ScanError(`There is no ${JSON.stringify(path)} to scan.`);
    const about = await stat(real);
    if (about.isDirectory()) await walk(real);
    else if (about.isFile() && isCode(real)) files.add(real);
    else throw new ScanError(`${JSON.stringify(path)} is no folder, and no file of JavaScript or TypeScript.`);
  }
  if (files.size === 0) throw new ScanError(`No JavaScript or TypeScript in ${paths.join(', ')}.`);
  return [...files].sort();
}
