import type { Pool } from 'pg';
import { type Statement, transact } from './database.ts';
import { InvalidArgumentError } from './errors.ts';

/** How Postgres answered a statement. */
export interface Plan {
  readonly indexes: readonly string[];
  /** Tables that were read from end to end. */
  readonly seqScans: readonly string[];
  /** Pages of 8 kB that were touched, cached or not: the measure that does not depend on the machine. */
  readonly buffers: number;
  /** Rows that came out. */
  readonly rows: number;
  /** Rows that were read and thrown away. */
  readonly discarded: number;
  /** Milliseconds of execution, without planning. */
  readonly ms: number;
}

/**
 * Runs the statement and says how: `EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON)`, parsed. In a transaction that is rolled
 * back, so that an UPDATE can be explained too (sequences, and what functions do outside the database, stay done).
 * `ANALYZE` the table before: the plan is chosen by statistics.
 *
 * @throws QueryRefusedError, DisconnectedError
 */
export async function planOf(pool: Pool, statement: Statement): Promise<Plan> {
  const explain = { ...statement, text: `EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) ${statement.text}` };
  const rows = await transact(pool, 'BEGIN', (ask) => ask<{ 'QUERY PLAN': unknown }>(explain), 'ROLLBACK');
  const answer: unknown = rows[0]?.['QUERY PLAN'];
  const [top] = Array.isArray(answer) ? answer : [];
  if (!isNode(top) || !isNode(top['Plan'])) throw new InvalidArgumentError(`There is no plan of: ${statement.text}`);
  const root = top['Plan'];
  const nodes = [...walk(root)];
  return {
    indexes: [...new Set(nodes.map((node) => word(node, 'Index Name')).filter((name) => name !== ''))],
    seqScans: nodes.filter((node) => node['Node Type'] === 'Seq Scan').map((node) => word(node, 'Relation Name')),
    // A node's buffers include those of the nodes below it; its rows and removals are means over its loops.
    buffers: figure(root, 'Shared Hit Blocks') + figure(root, 'Shared Read Blocks'),
    rows: figure(root, 'Actual Rows'),
    discarded: nodes.reduce((sum, node) => sum + removed(node) * figure(node, 'Actual Loops'), 0),
    ms: figure(top, 'Execution Time'),
  };
}

type PlanNode = Record<string, unknown>;

const isNode = (value: unknown): value is PlanNode => typeof value === 'object' && value !== null;
const word = (node: PlanNode, key: string) => (typeof node[key] === 'string' ? node[key] : '');
const figure = (node: PlanNode, key: string) => (typeof node[key] === 'number' ? node[key] : 0);
const removed = (node: PlanNode) =>
  figure(node, 'Rows Removed by Filter') + figure(node, 'Rows Removed by Index Recheck');

function* walk(node: PlanNode): Generator<PlanNode> {
  yield node;
  const below: unknown = node['Plans'];
  for (const child of Array.isArray(below) ? below : []) if (isNode(child)) yield* walk(child);
}
