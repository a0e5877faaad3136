import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { createClient } from '@connectrpc/connect';
import { Client, credentials, Metadata } from '@grpc/grpc-js';
import { tell } from '@shared/story';
import { contest, ratio, standingsTable } from '@shared/testkit';
import { openChannel, propagate, RetryPolicy, RpcServer } from './src/index.ts';
import { GetPriceRequestSchema, GetPriceResponseSchema, PriceService } from './test/shop/v1/shop_pb.ts';
import { desk, urlOf } from './test/shop.ts';

await tell({ title: 'The channel against grpc-js', dir: import.meta.dirname }, async (story) => {
  await using server = await RpcServer.serve(desk({ getPrice: ({ sku }) => ({ sku, cents: 499n }) }));
  using plain = openChannel(urlOf(server));
  using retrying = openChannel(urlOf(server), { interceptors: [new RetryPolicy().interceptor] });
  const [prices, withRetry] = [plain, retrying].map(({ transport }) => createClient(PriceService, transport));
  if (!prices || !withRetry) throw new Error('two clients');
  const peer = new Client(new URL(urlOf(server)).host, credentials.createInsecure());
  const ask = () =>
    new Promise((resolve, reject) => {
      peer.makeUnaryRequest(
        '/shop.v1.PriceService/GetPrice',
        (sku: string) => Buffer.from(toBinary(GetPriceRequestSchema, create(GetPriceRequestSchema, { sku }))),
        (bytes) => fromBinary(GetPriceResponseSchema, bytes),
        'tea',
        new Metadata(),
        { deadline: Date.now() + 5_000 },
        (error, price) => (error ? reject(error) : resolve(price)),
      );
    });
  const caller = { signal: new AbortController().signal, timeoutMs: () => 5_000 };
  try {
    for (const workers of [1, 16]) {
      await story.scene(`A price, ${workers} at once, from one server in this process`, async () => {
        const standings = await contest(
          {
            channel: () => prices.getPrice({ sku: 'tea' }, { timeoutMs: 5_000 }),
            'channel, propagate, retry': () => withRetry.getPrice({ sku: 'tea' }, propagate(caller)),
            'grpc-js': ask,
          },
          { workers, rounds: 5 },
        );
        story.table(standingsTable(standings));
        const [lean, full, js] = standings;
        if (!lean || !full || !js) throw new Error('three contestants');
        story.verdict(
          'a deadline handed on and a retry policy cost little',
          `${ratio(full, lean).toFixed(2)} ×`,
          ratio(full, lean) > 0.7,
        );
        story.say(`Against grpc-js: ${ratio(lean, js).toFixed(2)} × as many calls.`);
      });
    }
  } finally {
    peer.close();
  }
});
