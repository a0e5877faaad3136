// Flaw: the app is made once, with its module, and all who ask get that one: a test sells what another one has sold.
// Seen in: https://github.com/danneu/koa-skeleton/issues/15
// Caught by: two halls in one process share nothing, whatever was mounted in both
import type { FastifyInstance } from 'fastify';
import { type AppConfig, buildApp as reference } from '../src/index.ts';

export * from '../src/index.ts';

let app: Promise<FastifyInstance> | undefined;

export function buildApp(config: AppConfig): Promise<FastifyInstance> {
  app ??= reference(config);
  return app;
}
