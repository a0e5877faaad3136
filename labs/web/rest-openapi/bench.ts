import { createRoute, z as hz, OpenAPIHono } from '@hono/zod-openapi';
import { startPostgres } from '@shared/services';
import { tell } from '@shared/story';
import { consensus, contest, ratios, standingsTable } from '@shared/testkit';
import Fastify from 'fastify';
import { serializerCompiler, validatorCompiler, type ZodTypeProvider } from 'fastify-type-provider-zod';
import { Pool } from 'pg';
import { z } from 'zod';
import { IdempotencyStore, idempotencyKey, idempotent } from './src/index.ts';

await tell({ title: 'Idempotency: what a key costs, beside Hono', dir: import.meta.dirname }, async (story) => {
  const pg = await story.use(startPostgres());
  await using bin = new AsyncDisposableStack();
  const pool = bin.adopt(new Pool({ connectionString: pg.url, max: 8 }), (it) => it.end());
  pool.on('error', () => {});
  const store = new IdempotencyStore({ pool });
  await store.prepare();
  await pool.query('CREATE TABLE teas (id bigserial PRIMARY KEY, leaves text NOT NULL)');

  const tea = z.object({ leaves: z.string().max(50) });
  const app = Fastify().withTypeProvider<ZodTypeProvider>();
  bin.defer(() => app.close());
  app.setValidatorCompiler(validatorCompiler);
  app.setSerializerCompiler(serializerCompiler);
  const insert = 'INSERT INTO teas (leaves) VALUES ($1)';
  app.post('/plain', { schema: { body: tea, response: { 201: tea } } }, async (request, reply) => {
    const tx = await pool.connect();
    try {
      await tx.query('BEGIN');
      await tx.query(insert, [request.body.leaves]);
      await tx.query('COMMIT');
    } finally {
      tx.release();
    }
    return reply.code(201).send(request.body);
  });
  const headers = z.object({ 'idempotency-key': idempotencyKey });
  app.post('/keyed', { schema: { headers, body: tea, response: { 201: tea } } }, (request, reply) =>
    idempotent(store, { request, reply, principal: 'anna' }, async (tx) => {
      await tx.query(insert, [request.body.leaves]);
      return { status: 201, body: request.body };
    }),
  );
  const hono = new OpenAPIHono();
  const honoTea = hz.object({ leaves: hz.string().max(50) });
  const content = { 'application/json': { schema: honoTea } };
  const route = createRoute({
    method: 'post',
    path: '/plain',
    request: { body: { content, required: true } },
    responses: { 201: { description: 'The tea', content } },
  });
  hono.openapi(route, async (c) => {
    const body = c.req.valid('json');
    const tx = await pool.connect();
    try {
      await tx.query('BEGIN');
      await tx.query(insert, [body.leaves]);
      await tx.query('COMMIT');
    } finally {
      tx.release();
    }
    return c.json(body, 201);
  });

  const payload = JSON.stringify({ leaves: 'Oolong' });
  const type = { 'content-type': 'application/json' };
  let keys = 0;
  const send = async (url: string, extra: Record<string, string> = {}) => {
    const { statusCode } = await app.inject({ method: 'POST', url, headers: { ...type, ...extra }, payload });
    if (statusCode !== 201) throw new Error(`${url} answered ${statusCode}`);
  };
  await send('/keyed', { 'idempotency-key': 'kept' });

  await story.scene('One INSERT in a transaction, eight clients, no network', async () => {
    const [plain, keyed, replay, peer] = await contest(
      {
        'no key': () => send('/plain'),
        'a new key': () => send('/keyed', { 'idempotency-key': `k${keys++}` }),
        'a key that is known': async () => {
          // In flight beside another client: told to wait, as it should be.
          const known = {
            method: 'POST' as const,
            url: '/keyed',
            headers: { ...type, 'idempotency-key': 'kept' },
            payload,
          };
          await app.inject(known);
        },
        'Hono, no key': async () => {
          const answer = await hono.request('/plain', { method: 'POST', headers: type, body: payload });
          if (answer.status !== 201) throw new Error(`Hono answered ${answer.status}`);
        },
      },
      { workers: 8, rounds: 7, turnMs: 400 },
    );
    if (!plain || !keyed || !replay || !peer) throw new Error('four contestants');
    story.table(standingsTable([plain, keyed, replay, peer]));
    const cost = consensus(ratios(keyed, plain));
    story.verdict('A key costs less than three quarters of the speed', `${cost.text} of it left`, cost.median > 0.25);
    story.say(
      `Hono with @hono/zod-openapi, which validates and documents the same route: ${consensus(ratios(peer, plain)).text} of Fastify’s speed.`,
    );
  });
});
