import { z } from 'zod';
import { MutationReportError, quote } from './errors.ts';

export type MutantStatus = z.infer<typeof STATUS>;

/** One small change to the code, and what the tests made of it. */
export interface Mutant {
  readonly path: string;
  readonly line: number;
  /** The lines that it is in, without indentation: what a judgement of it is about. */
  readonly code: string;
  readonly original: string;
  readonly replacement: string;
  readonly mutator: string;
  readonly status: MutantStatus;
  /** Of an ignored one: why; undefined where nobody said. */
  readonly reason: string | undefined;
  /** The tests that ran it. */
  readonly tests: readonly string[];
}

const STATUS = z.enum([
  'Killed',
  'Timeout',
  'Survived',
  'NoCoverage',
  'CompileError',
  'RuntimeError',
  'Ignored',
  'Pending',
]);
const POSITION = z.object({ line: z.int().min(1), column: z.int().min(1) });
const MUTANT = z.object({
  mutatorName: z.string(),
  replacement: z.string().default(''),
  status: STATUS,
  statusReason: z.string().optional(),
  coveredBy: z.array(z.string()).default([]),
  testsCompleted: z.int().optional(),
  location: z.object({ start: POSITION, end: POSITION }),
});
const REPORT = z.object({
  files: z.record(z.string(), z.object({ source: z.string(), mutants: z.array(MUTANT) })),
  testFiles: z
    .record(z.string(), z.object({ tests: z.array(z.object({ id: z.string(), name: z.string() })) }))
    .default({}),
});

/** What Stryker says of `// Stryker disable` without a reason. */
const NO_REASON = 'Ignored using a comment';

/**
 * Reads a mutation-testing report in JSON, as Stryker's `json` reporter writes it.
 * @throws MutationReportError for what is none, and for a report of a run that hasn't ended
 */
export function readMutants(json: string): Mutant[] {
  const report = parse(json);
  const names = new Map(
    Object.values(report.testFiles).flatMap(({ tests }) => tests.map(({ id, name }) => [id, name])),
  );
  const mutants = Object.entries(report.files).flatMap(([path, file]) => {
    // Lines as Babel counts them, and so Stryker.
    const lines = file.source.split(/\r\n|[\n\r\u2028\u2029]/);
    return file.mutants.map((mutant) => toMutant(path, lines, mutant, names));
  });
  if (mutants.length === 0) throw new MutationReportError('the report has no mutant: what does `mutate` name?');
  const pending = mutants.find(({ status }) => status === 'Pending');
  if (pending) throw new MutationReportError(`${where(pending)} is pending: the run has not ended`);
  return mutants;
}

function toMutant(
  path: string,
  lines: readonly string[],
  { location: { start, end }, ...mutant }: z.infer<typeof MUTANT>,
  names: ReadonlyMap<string, string>,
): Mutant {
  const within = lines.slice(start.line - 1, end.line);
  if (within.length === 0 || within.length !== end.line - start.line + 1) {
    throw new MutationReportError(
      `${path} has a mutant at line ${start.line} to ${end.line}, and ${lines.length} lines`,
    );
  }
  if (mutant.status === 'Survived' && mutant.testsCompleted === 0) {
    throw new MutationReportError(`${path}:${start.line} survived a run in which no test ended: run Stryker again`);
  }
  const last = within.length - 1;
  const original = within
    .map((text, index) => text.slice(index === 0 ? start.column - 1 : 0, index === last ? end.column - 1 : undefined))
    .join('\n');
  return {
    path,
    line: start.line,
    code: within.map((text) => text.trim()).join('\n'),
    original,
    replacement: mutant.replacement,
    mutator: mutant.mutatorName,
    status: mutant.status,
    reason: mutant.statusReason === NO_REASON ? undefined : mutant.statusReason,
    tests: mutant.coveredBy.map((id) => names.get(id) ?? id),
  };
}

/** `src/price.ts:4`, for a message. */
export const where = ({ path, line }: Pick<Mutant, 'path' | 'line'>): string => `${path}:${line}`;

function parse(json: string): z.infer<typeof REPORT> {
  try {
    return REPORT.parse(JSON.parse(json.trim()));
  } catch (cause) {
    const what = cause instanceof z.ZodError ? z.prettifyError(cause) : quote(json);
    throw new MutationReportError(`this is no mutation-testing report: ${what}`, undefined, { cause });
  }
}
