import { setTimeout as delay } from 'node:timers/promises';
import type { FastifyRequest } from 'fastify';
import { z } from 'zod';
import type { Action } from './access.ts';
import type { Anchor } from './audit.ts';
import { NotFoundError, OpsError, UnknownTokenError } from './errors.ts';
import { Job, StepReport, StepReports } from './machine.ts';
import { Alerts, Host, type Ops, Rule, Schedule } from './ops.ts';
import { CONTENT_SECURITY_POLICY, PAGE } from './page.ts';
import { JOB_STATES } from './rollout.ts';
import { Api, HttpError, route, stream } from './vendor/web-api/index.ts';

const View = z.object({
  id: z.string(),
  runbook: z.string(),
  check: z.boolean(),
  actor: z.string(),
  state: z.enum(['running', 'cancelling', 'done', 'aborted', 'cancelled']),
  jobs: z
    .array(
      z.object({
        host: z.string(),
        batch: z.number(),
        state: z.enum(JOB_STATES),
        reports: z.array(StepReport).readonly(),
      }),
    )
    .readonly(),
});
const Live = z.object({
  hosts: z.array(z.object({ name: z.string(), seenMs: z.number().optional() })).readonly(),
  runbooks: z.array(z.string()).readonly(),
  runs: z.array(View).readonly(),
});
const Done = z.object({});
const ById = z.object({ id: z.string() });

export interface OpsApiOptions {
  readonly onError: (error: unknown) => void;
  /** Milliseconds between two lines of the live view. Default 500. */
  readonly refreshMs?: number;
  /** Milliseconds for which an agent that has nothing to do is kept waiting. Default 5,000. */
  readonly pollMs?: number;
}

/** The API of people, of agents and of the monitoring, and the page. Put TLS in front: tokens are in its headers. */
export function opsApi(ops: Ops, { onError, refreshMs = 500, pollMs = 5_000 }: OpsApiOptions): Api {
  const { audit } = ops;
  const user = (request: FastifyRequest, action: Action) => ops.allow(tokenOf(request), action);

  const put = <S extends z.ZodType>(
    url: string,
    body: S,
    work: (actor: string, given: z.output<S>) => Promise<unknown>,
  ) =>
    route({
      method: 'PUT',
      url,
      body,
      response: z.object({ token: z.string().optional() }),
      handler: ({ body: given, request }) =>
        withStatusOfError(async () => {
          const made = await work(await user(request, 'change'), given);
          return typeof made === 'string' ? { token: made } : {};
        }),
    });

  const start = route({
    method: 'POST',
    url: '/runs',
    body: z.strictObject({ runbook: z.string(), target: z.string(), check: z.boolean().default(false) }),
    response: ById,
    status: 201,
    handler: ({ body, request }) =>
      withStatusOfError(async () => ({ id: await ops.start(await user(request, 'run'), body) })),
  });

  const cancel = route({
    method: 'POST',
    url: '/runs/:id/cancel',
    params: ById,
    response: Done,
    handler: ({ params: { id }, request }) =>
      withStatusOfError(async () => {
        await ops.cancel(await user(request, 'run'), id);
        return {};
      }),
  });

  const look = route({
    method: 'GET',
    url: '/runs/:id',
    params: ById,
    response: View,
    handler: ({ params: { id }, request }) =>
      withStatusOfError(async () => {
        await user(request, 'look');
        const [found] = await ops.runs(1, id);
        if (!found) throw new NotFoundError('run', id);
        return found;
      }),
  });

  const live = stream({
    method: 'GET',
    url: '/live',
    response: Live,
    async *handler({ request, signal }) {
      while (!signal.aborted) {
        // Each time: whose token was taken away sees nothing more.
        await withStatusOfError(() => user(request, 'look'));
        const [hosts, runbooks, runs] = await Promise.all([ops.hosts(), ops.runbooks(), ops.summaries(8)]);
        yield { hosts, runbooks, runs };
        await delay(refreshMs, undefined, { signal }).catch(() => {});
      }
    },
  });

  const verify = route({
    method: 'POST',
    url: '/audit/verify',
    body: z.strictObject({ seq: z.int().min(0), hash: z.string() }).optional(),
    response: z.object({ intact: z.boolean(), seq: z.number(), hash: z.string(), why: z.string().optional() }),
    handler: ({ body, request }) =>
      withStatusOfError(async () => {
        await user(request, 'look');
        const entries = await ops.auditEntries();
        const verdict = audit.verify(entries, body);
        const head: Anchor = entries.at(-1) ?? { seq: 0, hash: '' };
        return verdict.intact ? { intact: true, seq: head.seq, hash: head.hash } : { ...verdict, hash: '' };
      }),
  });

  const alerts = route({
    method: 'POST',
    url: '/alerts',
    body: z.object({ alerts: Alerts }),
    response: z.object({ started: z.number() }),
    // A storm of 1,000.
    deadlineMs: 60_000,
    handler: ({ body, request, signal }) =>
      withStatusOfError(async () => {
        const started = await ops.alert(await user(request, 'alert'), body.alerts, signal);
        return { started: started.filter((id) => id !== undefined).length };
      }),
  });

  const session = z.string().min(1).max(64);
  let looking: Promise<ReadonlySet<string>> | undefined;
  /** One look for all agents that wait: many of them cost no more than one. */
  const queued = () => {
    looking ??= delay(Math.min(100, pollMs))
      .then(() => ops.queued())
      .finally(() => {
        looking = undefined;
      });
    return looking;
  };
  const next = route({
    method: 'POST',
    url: '/agent/next',
    body: z.strictObject({ session }),
    response: z.object({ job: Job.optional() }),
    deadlineMs: pollMs + 10_000,
    handler: ({ body, request, signal }) =>
      withStatusOfError(async () => {
        for (const end = performance.now() + pollMs; ; ) {
          // Each time: a token that was replaced meanwhile gets no job, and no secrets.
          const host = await ops.hostOf(tokenOf(request));
          const job = await ops.next(host, body.session);
          if (job) return { job };
          do {
            if (signal.aborted || performance.now() >= end) return {};
          } while (!(await queued()).has(host));
        }
      }),
  });

  const beat = route({
    method: 'POST',
    url: '/agent/beat',
    body: z.strictObject({ session, run: z.string(), reports: StepReports, done: z.boolean() }),
    response: z.object({ cancel: z.boolean() }),
    handler: ({ body: { session, ...body }, request }) =>
      withStatusOfError(async () => ops.beat(await ops.hostOf(tokenOf(request)), session, body)),
  });

  const remove = route({
    method: 'DELETE',
    url: '/:kind/:name',
    params: z.object({ kind: z.enum(['users', 'hosts', 'runbooks', 'schedules', 'rules']), name: z.string() }),
    response: Done,
    handler: ({ params: { kind, name }, request }) =>
      withStatusOfError(async () => {
        await ops.remove(await user(request, 'change'), kind, name);
        return {};
      }),
  });

  const routes = [
    ...[start, remove, cancel, look, live, verify, alerts, next, beat],
    put('/hosts', Host, (actor, host) => ops.addHost(actor, host)),
    put('/runbooks', z.unknown(), (actor, runbook) => ops.putRunbook(actor, runbook)),
    put('/rules', Rule, (actor, rule) => ops.putRule(actor, rule)),
    put('/schedules', Schedule.extend({ first: z.iso.datetime().transform((text) => new Date(text)) }), (actor, it) =>
      ops.putSchedule(actor, it),
    ),
  ];
  // 64 steps with their output.
  const api = new Api({ routes, onError, bodyLimit: 2 ** 22 });
  api.app.get('/', (_, reply) => {
    reply.header('content-security-policy', CONTENT_SECURITY_POLICY);
    return reply.type('text/html; charset=utf-8').send(PAGE);
  });
  return api;
}

/** @throws UnknownTokenError */
function tokenOf({ headers }: FastifyRequest): string {
  const token = /^Bearer ([\w-]{1,256})$/.exec(headers.authorization ?? '')?.[1];
  if (token === undefined) throw new UnknownTokenError();
  return token;
}

async function withStatusOfError<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof OpsError) || error.status >= 500) throw error;
    throw new HttpError(error.status, error.name, error.message);
  }
}
