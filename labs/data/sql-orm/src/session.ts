import type { ControlledTransaction, Expression, ExpressionBuilder, Kysely, SelectQueryBuilder, SqlBool } from 'kysely';
import { expressionBuilder, sql } from 'kysely';
import { DatabaseError } from 'pg';
import { ListenerError, SessionStateError, StaleError, StatementError } from './errors.ts';
import { type Change, type EventMap, type EventName, events } from './events.ts';
import {
  assignments,
  checked,
  copied,
  type Entity,
  innerOf,
  type Meta,
  type Model,
  modelOf,
  same,
  unhidden,
  type Values,
} from './model.ts';
import type { Value } from './operators.ts';
import { batches, bulkStatement, identity, type Statement, statementFor, type Task, type Verb } from './statements.ts';

interface State {
  status: 'new' | 'stored' | 'deleted';
  /** The row as the database has it. */
  stored: Values;
}
/** Whether a row was there before the transaction, and whether it is there now. */
type Log = Map<Entity, { readonly was: boolean; readonly is: boolean }>;
type Query<O, T extends string> = SelectQueryBuilder<Record<T, O>, T, object>;

/** Listeners that change or add something in each round never come to an end. */
const ROUNDS = 100;

/**
 * A unit of work, from its first statement, which opens a transaction, to its commit or rollback: then it has ended.
 * Each row is one object here (identity map); a flush writes what has changed, in as few statements as it can.
 * It has one caller at a time: give each request its own. `await using` rolls back what was not committed.
 */
export class Session<DB = unknown> implements AsyncDisposable {
  protected readonly events = events;
  readonly #db: Kysely<DB>;
  #trx: ControlledTransaction<DB> | undefined;
  readonly #states = new Map<Entity, State>();
  readonly #identities = new Map<string, Map<Value, Entity>>();
  protected readonly log: Log = new Map();
  /** What its objects know of it. */
  readonly #unit: { frozen?: string; readonly touched: Set<Entity> } = { touched: new Set() };
  #running: string | undefined;
  /** Settles with what runs. */
  #work: Promise<unknown> | undefined;
  /** Why it can only be rolled back. */
  #failure: unknown;
  #ended = false;

  constructor(db: Kysely<DB>) {
    this.#db = db;
  }

  /** The next flush inserts it; what was to be deleted stays. */
  add(entity: Entity): void {
    this.#changeable(entity);
    unhidden(entity);
    innerOf(entity).unit = this.#unit;
    this.#unit.touched.add(entity);
    const state = this.#states.get(entity);
    if (!state) this.#states.set(entity, { status: 'new', stored: {} });
    else if (state.status === 'deleted') state.status = 'stored';
  }

  /** The next flush deletes it; what was never inserted is forgotten. */
  delete(entity: Entity): void {
    this.#changeable(entity);
    const state = this.#states.get(entity);
    if (!state) throw new SessionStateError('That object is not in this session: get() it here.');
    if (state.status !== 'new') {
      state.status = 'deleted';
      this.#unit.touched.add(entity);
    } else {
      this.#leave(entity);
      delete innerOf(entity).unit;
    }
  }

  /** What a flush would write, in the order in which the objects were first touched since the last. */
  dirty(): Entity[] {
    return this.tasks().map(({ entity }) => entity);
  }

  /** The object of a row: what is here already is not read again. */
  async get<E extends Entity, O, T extends string, K extends keyof O & string>(
    model: Model<E, O, T, K>,
    key: O[K],
  ): Promise<E | undefined> {
    const { meta } = model;
    if (this.#ended) throw new SessionStateError('get() of a session after its end: open another.');
    const known = this.known(meta, checked(meta, meta.key, key));
    const gone = known && this.#states.get(known)?.status === 'deleted';
    if (known) return gone ? undefined : instance(model, known);
    const it = sql<SqlBool>`${sql.ref(`${meta.table}.${meta.key}`)} = ${key}`;
    return (await this.find(model, (query) => query.where(it)))[0];
  }

  /** The objects of the rows that `narrow` leaves. A flush comes first: the query sees what has been changed here. */
  find<E extends Entity, O, T extends string>(
    model: Model<E, O, T>,
    narrow: (query: Query<O, T>) => Query<O, T>,
  ): Promise<E[]> {
    const { meta } = model;
    return this.#alone('find', async () => {
      await this.#flush('find');
      const trx = await this.#open();
      // The model says what its table has; the types of the Kysely that we were given need not.
      const query = narrow(trx.selectFrom(meta.table as never) as unknown as Query<O, T>);
      const columns = [...meta.columns.keys()].map((column) => `${meta.table}.${column}`);
      const { rows } = await this.#send(() => trx.executeQuery<Values>(query.select(columns as never).compile()));
      const found: E[] = [];
      for (const row of rows) found.push(await this.#entityOf(model, rowOf(meta, row)));
      return found;
    });
  }

  async #entityOf<E extends Entity>(model: Model<E>, row: Values): Promise<E> {
    const known = this.known(model.meta, row[model.meta.key] ?? null);
    if (known) return instance(model, known);
    const entity = new model();
    unhidden(entity);
    Object.assign(innerOf(entity), { unit: this.#unit });
    Object.assign(innerOf(entity).values, row);
    this.#states.set(entity, { status: 'stored', stored: row });
    this.remember(entity);
    await this.tell(model, 'load', { session: this, entity });
    return entity;
  }

  /** The object that is a row here. */
  protected known(meta: Meta, key: Value): Entity | undefined {
    return this.#identities.get(meta.table)?.get(key);
  }

  protected remember(entity: Entity): void {
    const { meta } = modelOf(entity);
    const ofTable = this.#identities.get(meta.table) ?? new Map<Value, Entity>();
    this.#identities.set(meta.table, ofTable.set(innerOf(entity).values[meta.key] ?? null, entity));
  }

  protected forget(entity: Entity): void {
    const { meta } = modelOf(entity);
    this.#identities.get(meta.table)?.delete(innerOf(entity).values[meta.key] ?? null);
  }

  #leave(entity: Entity): void {
    const { meta } = modelOf(entity);
    this.#states.delete(entity);
    this.#unit.touched.delete(entity);
    if (this.known(meta, innerOf(entity).values[meta.key] ?? null) === entity) this.forget(entity);
  }

  /** Writes what has changed. It isn't true for others before `commit`. */
  flush(): Promise<void> {
    return this.#alone('flush', () => this.#flush('flush'));
  }

  async #flush(during: string): Promise<void> {
    if (this.tasks().length === 0) return this.#unit.touched.clear();
    this.#running = 'flush';
    try {
      await this.before();
      const tasks = this.tasks();
      if (tasks.length === 0) return this.#unit.touched.clear();
      const plan = batches(tasks).map((batch) => ({
        batch,
        statement: statementFor(batch, (meta) => this.match(meta)),
      }));
      this.#unit.frozen = 'while a flush writes, or tells of it';
      const trx = await this.#open();
      await this.#guarded(async () => {
        for (const { batch, statement } of plan) {
          const { rows } = await this.#send(() => statement.execute(trx));
          this.#written(batch, rows);
        }
        await this.after(tasks);
        this.#unit.touched.clear();
      });
    } finally {
      delete this.#unit.frozen;
      this.#running = during;
    }
  }

  /** What is to be written, as things are now. Who was not touched is not looked at: reads flush, and would be quadratic. */
  protected tasks(): Task[] {
    return [...this.#unit.touched].flatMap((entity) => {
      const { status, stored } = this.#states.get(entity) ?? { status: 'stored', stored: innerOf(entity).values };
      const { values } = innerOf(entity);
      const { meta } = modelOf(entity);
      const changes = status === 'new' ? [] : this.changes(values, stored);
      const verb: Verb = status === 'new' ? 'Insert' : status === 'deleted' ? 'Delete' : 'Update';
      return verb === 'Update' && changes.length === 0 ? [] : [{ entity, meta, values, verb, changes }];
    });
  }

  /** The columns whose value is another than the row's, whatever it was in between. */
  protected changes(values: Values, stored: Values): Change[] {
    const changes: Change[] = [];
    for (const column in values) {
      const from = stored[column] ?? null;
      const to = values[column] ?? null;
      if (!same(from, to)) changes.push({ column, from: copied(from), to: copied(to) });
    }
    return changes;
  }

  /** Tells each object once of what will happen to it, one that a listener has just changed or added included. */
  protected async before(): Promise<void> {
    for (const [model, entities] of Map.groupBy(this.dirty(), modelOf)) {
      await this.tell(model, 'beforeFlush', { session: this, entities });
    }
    const told = new Map<Entity, Verb>();
    for (let round = 0; round < ROUNDS; round++) {
      const news = this.tasks().filter(({ entity, verb }) => told.get(entity) !== verb);
      if (news.length === 0) return;
      for (const task of news) {
        told.set(task.entity, task.verb);
        await this.tellOf('before', task);
      }
    }
    throw new SessionStateError(
      `Listeners still change or add objects after ${ROUNDS} rounds: one of them never ends.`,
    );
  }

  /** Tells of what was written, in the same order. */
  protected async after(tasks: readonly Task[]): Promise<void> {
    for (const task of tasks) await this.tellOf('after', task);
  }

  protected tellOf(when: 'before' | 'after', { entity, verb, changes }: Task): Promise<void> {
    return this.tell(modelOf(entity), `${when}${verb}`, { session: this, entity, changes });
  }

  /** A row is found by its key, and only in the version that was read. */
  protected match(meta: Meta): Statement {
    const equal = identity(meta).map((column) => sql`${sql.ref(`t.${column}`)} = ${sql.ref(`v.${column}`)}`);
    return sql`${sql.join(equal, sql` AND `)}`;
  }

  /** @throws StaleError when not all of them were found */
  #written(batch: readonly Task[], answer: readonly Record<string, unknown>[]): void {
    const rows = new Map(answer.map((row) => [row[batch[0]?.meta.key ?? ''], row]));
    const lost = batch.filter(({ meta, values }) => !rows.has(values[meta.key]));
    const keys = lost.map(({ meta, values }) => values[meta.key]);
    if (lost[0]) throw new StaleError(lost[0].meta.table, keys);
    for (const { entity, meta, values, verb } of batch) {
      const was = this.log.get(entity)?.was ?? verb !== 'Insert';
      this.log.set(entity, { was, is: verb !== 'Delete' });
      if (verb === 'Delete') {
        this.#leave(entity);
        continue;
      }
      const stored = rowOf(meta, rows.get(values[meta.key]) ?? {});
      Object.assign(values, stored);
      this.#states.set(entity, { status: 'stored', stored });
      this.remember(entity);
    }
  }

  /**
   * One UPDATE for all rows that `where` finds, after a flush. `set` may name hybrids that can be set. No row is read, so
   * no row event is heard: `bulkUpdate` is. Versions are counted, and this session lets go of its objects of that table.
   *
   * @returns How many rows were changed.
   */
  bulkUpdate<E extends Entity, O, T extends string>(
    model: Model<E, O, T>,
    set: Partial<E>,
    where: (eb: ExpressionBuilder<Record<T, O>, T>) => Expression<SqlBool | null>,
  ): Promise<number> {
    return this.#alone('bulkUpdate', async () => {
      const { meta } = model;
      const values = assignments(meta, set);
      await this.#flush('bulkUpdate');
      const trx = await this.#open();
      const statement = bulkStatement(meta, values, where(expressionBuilder<Record<T, O>, T>()));
      this.#unit.frozen = 'while a bulkUpdate runs';
      const sent = this.#send(() => statement.execute(trx));
      const { numAffectedRows = 0n } = await sent.finally(() => delete this.#unit.frozen);
      await this.#guarded(() => this.bulkDone(model, { session: this, rows: Number(numAffectedRows), set: values }));
      return Number(numAffectedRows);
    });
  }

  protected bulkDone(model: Model, event: EventMap<Entity>['bulkUpdate']): Promise<void> {
    this.letGo(model.meta.table);
    return this.tell(model, 'bulkUpdate', event);
  }

  /** The objects of a table are no longer its rows: they are read anew. */
  protected letGo(table: string): void {
    for (const entity of [...this.#states.keys()].filter((it) => modelOf(it).meta.table === table)) {
      this.#leave(entity);
      innerOf(entity).unit = { frozen: 'after a bulkUpdate of its table: get() it again' };
    }
  }

  /**
   * Flushes, commits, and then tells `afterCommit`.
   *
   * @throws StaleError | StatementError Nothing of it is in the database (unless `committed` is 'unknown'): `rollback()`.
   * @throws ListenerError It is committed, and a listener failed.
   */
  commit(): Promise<void> {
    return this.#alone('commit', async () => {
      await this.#flush('commit');
      await this.finish();
    });
  }

  protected sendCommit(): Promise<void> {
    this.#unit.frozen = 'while it is committed';
    return this.#guarded(async () => {
      await this.#trx
        ?.commit()
        .execute()
        .catch((error: unknown) => {
          // An error of the server's own is its answer. 57P01 (it is going down) and class 08 (a connection is lost, as a
          // pooler says it) may have overtaken the answer.
          const answered = error instanceof DatabaseError && !/^(57P|08)/.test(error.code ?? '');
          throw new StatementError(error, answered ? 'no' : 'unknown');
        });
    });
  }

  protected async finish(): Promise<void> {
    await this.sendCommit();
    const log = this.end();
    const those = (all: readonly Entity[], was: boolean, is: boolean) =>
      all.filter((it) => log.get(it)?.was === was && log.get(it)?.is === is);
    await this.announce('afterCommit', log, (all) => ({
      inserted: those(all, false, true),
      updated: those(all, true, true),
      deleted: those(all, true, false),
    }));
  }

  /** Ends it without a trace in the database. Its objects are of no further use: read them in another session. */
  async rollback(): Promise<void> {
    if (this.#ended) return;
    await this.#alone('rollback', async () => {
      // A connection that can't roll back is thrown away by Kysely, and its transaction by the server.
      await this.#trx
        ?.rollback()
        .execute()
        .catch(() => {});
      const log = this.end();
      if (this.#failure instanceof StatementError && this.#failure.committed === 'unknown') return;
      await this.announce('afterRollback', log, (entities) => ({ entities }));
    });
  }

  /** What still runs here comes to its end first: an error beside it must not leave the transaction open. */
  async [Symbol.asyncDispose](): Promise<void> {
    while (this.#running) await this.#work;
    await this.rollback();
  }

  protected end(): Log {
    this.#ended = true;
    this.#unit.frozen = 'after the end of its session: read it in another';
    return this.log;
  }

  /** Everybody is told, then their errors are thrown together: what is done is done. */
  protected async announce<N extends 'afterCommit' | 'afterRollback'>(
    name: N,
    log: Log,
    event: (all: readonly Entity[]) => EventMap<Entity>[N],
  ): Promise<void> {
    const errors: unknown[] = [];
    for (const [model, all] of Map.groupBy(log.keys(), modelOf)) await this.tell(model, name, event(all), errors);
    if (errors.length > 0) throw new ListenerError(name, errors);
  }

  protected async tell<N extends EventName>(
    model: Model,
    name: N,
    event: EventMap<Entity>[N],
    errors?: unknown[],
  ): Promise<void> {
    for (const tell of this.events.telling(model, name)) {
      try {
        await tell(event);
      } catch (error) {
        if (!errors) throw error;
        errors.push(error);
      }
    }
  }

  #changeable(entity: Entity): void {
    const { unit } = innerOf(entity);
    if (unit && unit !== this.#unit) throw new SessionStateError('That object belongs to another session.');
    if (this.#unit.frozen) throw new SessionStateError(`Nothing is added or deleted ${this.#unit.frozen}.`);
  }

  async #alone<T>(what: string, work: () => Promise<T>): Promise<T> {
    const why =
      (this.#running && `while ${this.#running}() runs: it has one caller at a time; await it, or open another`) ||
      (this.#ended && 'after its end: open another') ||
      (this.#failure !== undefined && what !== 'rollback' && 'after a failure: rollback() first');
    if (why) throw new SessionStateError(`${what}() of a session ${why}.`, { cause: this.#failure });
    this.#running = what;
    const running = work().finally(() => {
      this.#running = undefined;
    });
    this.#work = running.catch(() => {});
    return running;
  }

  async #open(): Promise<ControlledTransaction<DB>> {
    this.#trx ??= await this.#send(() => this.#db.startTransaction().execute());
    return this.#trx;
  }

  #send<T>(statement: () => Promise<T>): Promise<T> {
    return this.#guarded(() =>
      statement().catch((error: unknown) => {
        throw new StatementError(error);
      }),
    );
  }

  async #guarded<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      this.#failure ??= error ?? new SessionStateError('A listener has thrown nothing.');
      throw error;
    }
  }
}

function rowOf(meta: Meta, row: Readonly<Record<string, unknown>>): Values {
  const values: Values = {};
  for (const column of meta.columns.keys()) values[column] = checked(meta, column, row[column]);
  return values;
}

function instance<E extends Entity>(model: Model<E>, entity: Entity): E {
  if (entity instanceof model) return entity;
  throw new SessionStateError(`That row of ${model.meta.table} was read as another class here: ask for that one.`);
}
