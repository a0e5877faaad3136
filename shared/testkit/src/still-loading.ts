import { detour } from './detour.ts';

/** A way to a Redis whose INFO says that it still loads its data: a server of ours is ready too soon to be met like that. */
export interface StillLoading extends AsyncDisposable {
  readonly url: string;
}

/** All else goes through as it is, so a client that asks nevertheless is answered. */
export async function stillLoading(redis: string): Promise<StillLoading> {
  const { hostname: host, port } = new URL(redis);
  const way = await detour(() => ({ host, port: Number(port) }), {
    answered: (bytes) => bytes.replace('\nloading:0', '\nloading:1'),
  });
  return { url: way.url(redis), [Symbol.asyncDispose]: () => way[Symbol.asyncDispose]() };
}
