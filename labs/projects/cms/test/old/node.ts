import { create } from '@bufbuild/protobuf';
import { timestampDate, timestampFromDate } from '@bufbuild/protobuf/wkt';
import { Pool } from 'pg';
import type * as lab from '../../src/index.ts';
import { checkAction } from '../../src/index.ts';
import { isRole, tellErrors } from '../../src/services.ts';
import { RpcServer } from '../../src/vendor/grpc/index.ts';
import { ArticleSchema, ContentService, type User } from './cms/v1/cms_pb.ts';

/** A content node of the release before: its contract has no teaser, and neither have its statements. */
export async function serveOld(o: lab.ServeOptions & { readonly database: string }, { ContentStore }: typeof lab) {
  const pool = new Pool({ connectionString: o.database, max: 4 });
  pool.on('error', o.onError);
  const store = new ContentStore(pool);
  const message = ({ teaser: _, publishAt, ...rest }: lab.Article) => ({
    article: create(ArticleSchema, { ...rest, ...(publishAt && { publishAt: timestampFromDate(publishAt) }) }),
  });
  const userOf = (user: User | undefined): lab.User => {
    if (user === undefined || !isRole(user.role)) throw new RangeError('no user');
    return { name: user.name, role: user.role };
  };
  const server = await RpcServer.serve(
    (router) => {
      router.service(ContentService, {
        create: async ({ user, title, body, slug }) =>
          message(await store.create(userOf(user), { title, body, ...(slug !== '' && { slug }) })),
        edit: async ({ user, id, revision, title, body, slug }) =>
          message(await store.edit(id, revision, { title, body, slug }, userOf(user))),
        act: async ({ user, id, revision, action, publishAt }) => {
          checkAction(action);
          return message(await store.act(id, revision, action, userOf(user), publishAt && timestampDate(publishAt)));
        },
        read: async ({ user, id }) => message(await store.read(id, userOf(user))),
        find: async ({ slug }) => {
          const found = await store.find(slug);
          if (found === undefined) return {};
          if ('moved' in found) return { found: { case: 'moved', value: found.moved } };
          return { found: { case: 'article', value: message(found.article).article } };
        },
        list: async ({ limit }) => ({ articles: (await store.list(limit)).map((each) => message(each).article) }),
      });
    },
    { port: o.port ?? 0, interceptors: [tellErrors(o.onError)] },
  );
  return {
    url: `http://127.0.0.1:${server.port}`,
    async [Symbol.asyncDispose]() {
      await server.drain();
      await pool.end();
    },
  };
}
