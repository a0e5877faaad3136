import { isDeepStrictEqual } from 'node:util';
import { type Document, isMap, isScalar, LineCounter, parseDocument, visit } from 'yaml';
import { z } from 'zod';
import { CiError, CycleError, WorkflowError } from './errors.ts';
import { compile, condition, expressionsIn, type Value } from './expression.ts';

const scalar = z.union([z.string(), z.number(), z.boolean()]);
const name = scalar.transform(String);
const texts = z.record(z.string(), scalar.nullable());
const flag = z.union([z.boolean(), z.string()]);
const minutes = z.union([z.number().positive(), z.string()]);
const run = z.strictObject({ shell: z.string().optional(), 'working-directory': z.string().optional() });
const defaults = z.strictObject({ run: run.optional() });

const step = z
  .strictObject({
    id: z
      .string()
      .regex(/^[A-Za-z_][\w-]*$/)
      .optional(),
    name: name.optional(),
    if: scalar.optional(),
    run: z.string().optional(),
    uses: z.string().optional(),
    with: texts.optional(),
    env: texts.optional(),
    shell: z.string().optional(),
    'working-directory': z.string().optional(),
    'continue-on-error': flag.optional(),
    'timeout-minutes': minutes.optional(),
  })
  .refine((it) => (it.run === undefined) !== (it.uses === undefined), 'a step has either run or uses');

const labels = z.array(z.string());
const job = z.strictObject({
  name: name.optional(),
  needs: z.union([z.string().transform((it) => [it]), z.array(z.string())]).default([]),
  if: scalar.optional(),
  'runs-on': z.union([z.string(), labels, z.record(z.string(), z.union([z.string(), labels]))]).optional(),
  env: texts.optional(),
  defaults: defaults.optional(),
  strategy: z
    .strictObject({
      matrix: z.unknown().optional(),
      'fail-fast': flag.optional(),
      'max-parallel': z.unknown().optional(),
    })
    .optional(),
  'continue-on-error': flag.optional(),
  'timeout-minutes': minutes.optional(),
  outputs: texts.optional(),
  steps: z.array(step).min(1).optional(),
  uses: z.string().optional(),
  with: z.unknown().optional(),
  secrets: z.unknown().optional(),
  permissions: z.unknown().optional(),
  environment: z.unknown().optional(),
  concurrency: z.unknown().optional(),
  container: z.unknown().optional(),
  services: z.unknown().optional(),
});

const workflow = z.strictObject({
  name: name.optional(),
  'run-name': z.string().optional(),
  on: z.unknown(),
  permissions: z.unknown().optional(),
  env: texts.optional(),
  defaults: defaults.optional(),
  concurrency: z.unknown().optional(),
  jobs: z.record(z.string().regex(/^[A-Za-z_][\w-]*$/), job).refine((it) => Object.keys(it).length > 0, 'no job'),
});

export type Step = z.infer<typeof step>;
export type Job = z.infer<typeof job>;
export type Workflow = z.infer<typeof workflow>;

/** Where things stand in a workflow file; `lineOf` is the line of a key or an item, from 1. */
export interface Source {
  readonly workflow: Workflow;
  lineOf(path: readonly PropertyKey[]): number;
}

/**
 * Reads a workflow, and everything in it that can be wrong before anything runs: keys, needs, cycles, expressions.
 * @throws WorkflowError with the line; CycleError.
 */
export const parseWorkflow = (text: string): Workflow => readSource(text).workflow;

/** As parseWorkflow, with the lines. @throws WorkflowError, CycleError */
export function readSource(text: string): Source {
  if (typeof text !== 'string') throw new WorkflowError(`a workflow is a text, not of type ${typeof text}.`);
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines });
  const lineOf = (path: readonly PropertyKey[]) => lines.linePos(offsetOf(document, path)).line;
  const [broken] = document.errors;
  if (broken) throw new WorkflowError(`this is no YAML: ${broken.message.split('\n', 1)[0]}`, broken.linePos?.[0].line);
  visit(document, {
    Pair(_, { key }, path) {
      // Its expressions are evaluated by who calls, in contexts of their own.
      if (isScalar(key) && key.value === 'on' && path.length === 2) return visit.SKIP;
      if (isScalar(key) && key.value === '__proto__')
        throw new WorkflowError('__proto__ is no name.', lines.linePos(key.range?.[0] ?? 0).line);
      return undefined;
    },
    Scalar(key, node) {
      if (typeof node.value === 'string' && key !== 'key')
        checkExpressions(node.value, expressionsIn, () => lines.linePos(node.range?.[0] ?? 0).line);
    },
  });
  let plain: unknown;
  try {
    plain = document.toJS();
  } catch (error) {
    throw new WorkflowError(`this YAML can't be unfolded: ${error instanceof Error ? error.message : error}`);
  }
  const { data, error } = workflow.safeParse(plain);
  if (!data) {
    const [issue] = error.issues;
    const path = [...(issue?.path ?? []), ...(issue?.code === 'unrecognized_keys' ? issue.keys.slice(0, 1) : [])];
    throw new WorkflowError(`${path.map(String).join('.') || 'the workflow'}: ${issue?.message}.`, lineOf(path));
  }
  checkConditions(data, lineOf);
  checkNeeds(data, lineOf);
  return { workflow: data, lineOf };
}

function offsetOf(document: Document, path: readonly PropertyKey[]): number {
  let at = 0;
  let node: unknown = document.contents;
  for (const [depth, part] of path.entries()) {
    const pair = isMap(node)
      ? node.items.find(({ key }) => isScalar(key) && String(key.value) === String(part))
      : undefined;
    const child = pair ? pair.value : document.getIn(path.slice(0, depth + 1), true);
    const start = pair ? pair.key : child;
    if (isScalar(start) || isMap(start)) at = start.range?.[0] ?? at;
    node = child;
  }
  return at;
}

function checkExpressions(text: string, read: (text: string) => unknown, line: () => number): void {
  try {
    const found = read(text);
    if (Array.isArray(found)) for (const source of found) compile(source);
  } catch (error) {
    throw error instanceof CiError ? new WorkflowError(error.message, line()) : error;
  }
}

function checkConditions({ jobs }: Workflow, lineOf: Source['lineOf']): void {
  for (const [id, each] of Object.entries(jobs)) {
    if (each.if !== undefined) checkExpressions(String(each.if), condition, () => lineOf(['jobs', id, 'if']));
    const known = new Set<string>();
    each.steps?.forEach((it, index) => {
      const path = ['jobs', id, 'steps', index];
      if (it.if !== undefined) checkExpressions(String(it.if), condition, () => lineOf([...path, 'if']));
      if (it.id !== undefined && known.has(it.id.toLowerCase()))
        throw new WorkflowError(`two steps have the id ${it.id}.`, lineOf([...path, 'id']));
      if (it.id !== undefined) known.add(it.id.toLowerCase());
    });
    if ((each.steps === undefined) === (each.uses === undefined))
      throw new WorkflowError(`${id} has either steps or uses.`, lineOf(['jobs', id]));
    if (each.steps && each['runs-on'] === undefined)
      throw new WorkflowError(`${id} does not say what it runs-on.`, lineOf(['jobs', id]));
  }
}

function checkNeeds({ jobs }: Workflow, lineOf: Source['lineOf']): void {
  const needs = new Map(Object.entries(jobs).map(([id, each]) => [id, each.needs]));
  for (const [id, wanted] of needs) {
    const unknown = wanted.find((each) => !needs.has(each));
    if (unknown !== undefined)
      throw new WorkflowError(`${id} needs ${unknown}, and there is no such job.`, lineOf(['jobs', id, 'needs']));
  }
  const cycle = findCycle(needs);
  if (cycle) throw new CycleError(cycle, lineOf(['jobs', cycle[0] ?? '', 'needs']));
}

/** A circle in who needs whom, its first job again at its end; undefined without one. */
function findCycle(needs: ReadonlyMap<string, readonly string[]>): string[] | undefined {
  const done = new Set<string>();
  for (const start of needs.keys()) {
    // A stack of our own: a chain of ten thousand jobs is no reason to overflow that of the machine.
    const path: { id: string; rest: string[] }[] = [{ id: start, rest: [...(needs.get(start) ?? [])] }];
    for (let top = path.at(-1); top; top = path.at(-1)) {
      const id = done.has(top.id) ? undefined : top.rest.pop();
      if (id === undefined) {
        done.add(top.id);
        path.pop();
        continue;
      }
      const from = path.findIndex((each) => each.id === id);
      if (from >= 0) return [...path.slice(from).map((each) => each.id), id];
      path.push({ id, rest: [...(needs.get(id) ?? [])] });
    }
  }
  return undefined;
}

export type Cell = { readonly [axis: string]: Value };

/** GitHub's limit on the jobs of one matrix. */
const MOST_CELLS = 256;

/**
 * The cells of a matrix: the product of its axes, less what `exclude` names, and what `include` adds to them or beside.
 * @throws WorkflowError on a matrix without a cell (a job that never runs is not one that passed), or above 256.
 */
export function expandMatrix(matrix: Value): Cell[] {
  if (typeof matrix !== 'object' || matrix === null || Array.isArray(matrix))
    throw new WorkflowError('a matrix is a map of axes.');
  const { include = [], exclude = [], ...axes } = matrix as Cell;
  const list = (name: string, value: Value | undefined) => {
    if (!Array.isArray(value)) throw new WorkflowError(`the axis ${name} of the matrix is no list.`);
    return value;
  };
  const parts = (name: string, value: Value) =>
    list(name, value).map((part) => {
      if (typeof part === 'object' && part !== null && !Array.isArray(part)) return part as Cell;
      throw new WorkflowError(`${name} of the matrix has ${JSON.stringify(part)}, which is no map.`);
    });
  let cells: Cell[] = Object.keys(axes).length > 0 ? [{}] : [];
  for (const [axis, values] of Object.entries(axes)) {
    cells = cells.flatMap((cell) => list(axis, values).map((value) => ({ ...cell, [axis]: value })));
    if (cells.length > MOST_CELLS) break;
  }
  const fits = (cell: Cell, part: Cell, keys: string[]) => keys.every((key) => isDeepStrictEqual(cell[key], part[key]));
  cells = cells.filter((cell) => !parts('exclude', exclude).some((part) => fits(cell, part, Object.keys(part))));
  const original = [...cells];
  for (const part of parts('include', include)) {
    const shared = Object.keys(part).filter((key) => Object.hasOwn(axes, key));
    const matching = original.flatMap((cell, index) => (fits(cell, part, shared) ? [index] : []));
    for (const index of matching) cells[index] = { ...cells[index], ...part };
    if (matching.length === 0) cells.push(part);
  }
  if (cells.length === 0)
    throw new WorkflowError('the matrix has no cell: nothing would run, and nothing would be red.');
  if (cells.length > MOST_CELLS) throw new WorkflowError(`the matrix has more than ${MOST_CELLS} cells.`);
  return cells;
}
