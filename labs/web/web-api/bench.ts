import { Agent, request as httpRequest } from 'node:http';
import type { AddressInfo } from 'node:net';
import { serve } from '@hono/node-server';
import { zValidator } from '@hono/zod-validator';
import { tell } from '@shared/story';
import { consensus, contest, ratios, standingsTable } from '@shared/testkit';
import { fastify } from 'fastify';
import { serializerCompiler, validatorCompiler, type ZodTypeProvider } from 'fastify-type-provider-zod';
import { Hono } from 'hono';
import { z } from 'zod';
import { Api, route } from './src/index.ts';

const Order = z.strictObject({
  patient: z.string().min(1),
  items: z.array(z.object({ medicine: z.string(), boxes: z.int().min(1) })),
});
const Receipt = z.object({ patient: z.string(), boxes: z.number() });
const order = JSON.stringify({
  patient: 'Li',
  items: Array.from({ length: 10 }, () => ({ medicine: 'aspirin', boxes: 2 })),
});
const receiptFor = ({ patient, items }: z.output<typeof Order>) => ({
  patient,
  boxes: items.reduce((sum, { boxes }) => sum + boxes, 0),
  diagnosis: 'in confidence',
});

await tell(
  { title: 'Typed web API: beside Fastify’s Zod provider and Hono', dir: import.meta.dirname },
  async (story) => {
    await using bin = new AsyncDisposableStack();
    await story.scene('POST an order of ten items over HTTP, checked on the way in and out', async () => {
      const take = route({
        method: 'POST',
        url: '/',
        body: Order,
        response: Receipt,
        handler: async ({ body }) => receiptFor(body),
      });
      const api = bin.use(new Api({ routes: [take], onError: (error) => story.say(String(error)) }));

      const provider = bin.adopt(fastify().withTypeProvider<ZodTypeProvider>(), (it) => it.close());
      provider.setValidatorCompiler(validatorCompiler).setSerializerCompiler(serializerCompiler);
      provider.post('/', { schema: { body: Order, response: { 200: Receipt } } }, async ({ body }) => receiptFor(body));

      const hono = new Hono();
      hono.post('/', zValidator('json', Order), (context) =>
        context.json(Receipt.parse(receiptFor(context.req.valid('json')))),
      );
      const { promise, resolve } = Promise.withResolvers<AddressInfo>();
      const server = serve({ fetch: hono.fetch, hostname: '127.0.0.1', port: 0 }, resolve);
      bin.defer(() => void server.close());

      const listen = { host: '127.0.0.1', port: 0 };
      const agent = bin.adopt(new Agent({ keepAlive: true }), (it) => it.destroy());
      const post = (url: string) => () => send(url, agent);
      const [lab, zod, other] = await contest(
        {
          lab: post(await api.app.listen(listen)),
          'fastify-type-provider-zod': post(await provider.listen(listen)),
          hono: post(`http://127.0.0.1:${(await promise).port}`),
        },
        { workers: 16, rounds: 7, turnMs: 400 },
      );
      if (!lab || !zod || !other) throw new Error('three contestants');
      story.table(standingsTable([lab, zod, other]));
      const [beside, besideHono] = [consensus(ratios(lab, zod)), consensus(ratios(lab, other))];
      story.say(`Beside Hono, whose response is parsed by hand: ${besideHono.text}.`);
      story.verdict(
        'A scope, a deadline and a look at every text cost less than half of the requests',
        beside.text,
        beside.median > 0.5,
      );
    });
  },
);

function send(url: string, agent: Agent): Promise<void> {
  return new Promise((resolve, reject) => {
    const headers = { 'content-type': 'application/json', 'content-length': order.length };
    const request = httpRequest(url, { agent, method: 'POST', headers }, (response) => {
      if (response.statusCode !== 200) reject(new Error(`status ${response.statusCode}`));
      response.on('end', resolve).resume();
    });
    request.on('error', reject).end(order);
  });
}
