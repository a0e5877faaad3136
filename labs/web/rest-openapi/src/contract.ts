import { createHash } from 'node:crypto';
import type { FastifyInstance } from 'fastify';
import plugin from 'fastify-plugin';
import { jsonSchemaTransform, jsonSchemaTransformObject } from 'fastify-type-provider-zod';
import { type Contract, isRecord, recordOf } from './operations.ts';
import { contractPage, PAGE_STYLE } from './page.ts';

/**
 * For `@fastify/swagger`: the contract out of the zod schemas of the routes, with what fastify-type-provider-zod leaves out: the
 * headers of the responses. Schemas that no route speaks of stay out.
 */
export const fromRoutes: { transform: typeof jsonSchemaTransform; transformObject: typeof jsonSchemaTransformObject } =
  {
    transform(document) {
      const { schema, url } = jsonSchemaTransform(document);
      const given = recordOf(document.schema?.response);
      for (const [status, response] of Object.entries(recordOf(schema?.response))) {
        const headers = recordOf(given[status])['headers'];
        if (headers && isRecord(response)) Object.assign(response, { headers });
      }
      return { schema, url };
    },
    transformObject(document) {
      const whole = jsonSchemaTransformObject(document);
      const { schemas = {}, ...others } = recordOf(recordOf(whole)['components']) as {
        schemas?: Record<string, unknown>;
      };
      const used = new Set<string>();
      const follow = (value: unknown): void => {
        const names = JSON.stringify(value ?? null).matchAll(/"#\/components\/schemas\/([^"/]+)"/g);
        for (const [, name = ''] of names) {
          if (used.has(name)) continue;
          used.add(name);
          follow(schemas[name]);
        }
      };
      follow({ ...whole, components: others });
      const kept = Object.fromEntries(Object.entries(schemas).filter(([name]) => used.has(name)));
      return { ...whole, components: { ...others, schemas: kept } } as typeof whole;
    },
  };

export interface ContractRoutesOptions {
  /** The contract, asked for once. For `@fastify/swagger`: `() => app.swagger()`. */
  readonly contract: () => Contract;
}

/** `GET /openapi.json` for programs, and `GET /docs` for people: one page, without a script and without another server. */
export const contractRoutes = plugin(
  (app: FastifyInstance, { contract }: ContractRoutesOptions, done: () => void) => {
    let made: { readonly json: string; readonly page: string } | undefined;
    const make = (given: Contract) => ({ json: JSON.stringify(given), page: contractPage(given) });
    const get = () => {
      made ??= make(contract());
      return made;
    };
    const style = createHash('sha256').update(PAGE_STYLE).digest('base64');
    app.get('/openapi.json', { schema: { hide: true } as object }, (_, reply) =>
      reply.type('application/json; charset=utf-8').send(Buffer.from(get().json)),
    );
    app.get('/docs', { schema: { hide: true } as object }, (_, reply) =>
      reply
        .header('content-security-policy', `default-src 'none'; style-src 'sha256-${style}'; frame-ancestors 'none'`)
        .type('text/html; charset=utf-8')
        .send(Buffer.from(get().page)),
    );
    done();
  },
  { name: 'contract-routes' },
);
