import { create } from '@bufbuild/protobuf';
import { timestampDate, timestampFromDate } from '@bufbuild/protobuf/wkt';
import { Code, ConnectError, type ConnectRouter, type Interceptor } from '@connectrpc/connect';
import { type Article, checkAction, type Role, type User } from './article.ts';
import {
  type Article as ArticleMessage,
  ArticleSchema,
  ContentService,
  MediaService,
  SearchService,
  StaleSchema,
  type User as UserMessage,
  UsersService,
} from './cms/v1/cms_pb.ts';
import type { ContentStore } from './content.ts';
import { CmsError, InvalidInputError, StaleEditError } from './errors.ts';
import type { MediaStore } from './media.ts';
import type { SearchIndex } from './search.ts';
import type { UserStore } from './users.ts';

export type Routes = (router: ConnectRouter) => void;

export const contentRoutes =
  (store: ContentStore): Routes =>
  (router) => {
    router.service(ContentService, {
      create: async ({ user, title, body, slug, teaser }) => {
        const given = { title, body, teaser, ...(slug !== '' && { slug }) };
        return { article: messageOf(await store.create(userOf(user), given)) };
      },
      edit: async ({ user, id, revision, title, body, slug, teaser }) => ({
        article: messageOf(await store.edit(id, revision, { title, body, slug, teaser }, userOf(user))),
      }),
      act: async ({ user, id, revision, action, publishAt }) => {
        checkAction(action);
        const at = publishAt && timestampDate(publishAt);
        return { article: messageOf(await store.act(id, revision, action, userOf(user), at)) };
      },
      read: async ({ user, id }) => ({ article: messageOf(await store.read(id, userOf(user))) }),
      find: async ({ slug }) => {
        const found = await store.find(slug);
        if (found === undefined) return {};
        if ('moved' in found) return { found: { case: 'moved', value: found.moved } };
        return { found: { case: 'article', value: messageOf(found.article) } };
      },
      list: async ({ user, limit }) => ({
        articles: (await store.list(limit, user && userOf(user))).map(messageOf),
      }),
    });
  };

export const searchRoutes =
  (index: SearchIndex): Routes =>
  (router) => {
    router.service(SearchService, {
      put: async ({ documents, make }) => {
        const { refusals, missing } = await index.put(documents, make);
        return { refusals: [...refusals], missing };
      },
      search: async ({ words, limit, except }) => ({ hits: [...(await index.search(words, limit, except))] }),
    });
  };

export const mediaRoutes =
  (store: MediaStore): Routes =>
  (router) => {
    router.service(MediaService, {
      upload: async ({ bytes }) => ({ id: await store.put(bytes) }),
      download: async ({ id }) => {
        const { bytes, type } = await store.get(id);
        return { bytes: new Uint8Array(bytes), type };
      },
    });
  };

export const usersRoutes =
  (store: UserStore): Routes =>
  (router) => {
    router.service(UsersService, {
      login: ({ name, password }) => store.login(name, password),
      whoIs: ({ token }) => store.whoIs(token),
    });
  };

/** Our errors as gRPC says them; of all others the caller is told nothing. */
export const tellErrors =
  (onError: (error: unknown) => void): Interceptor =>
  (next) =>
  async (request) => {
    try {
      return await next(request);
    } catch (error) {
      if (!(error instanceof CmsError) || error.code === Code.Unavailable) onError(error);
      if (!(error instanceof CmsError)) throw new ConnectError('Something went wrong here.', Code.Internal);
      const stale = error instanceof StaleEditError;
      const details = stale
        ? // Details travel in a trailer, and 64 KiB is the most that one holds: the body is for whoever reads the text.
          [
            {
              desc: StaleSchema,
              value: { current: messageOf({ ...error.current, body: '' }), changed: [...error.changed] },
            },
          ]
        : [];
      throw new ConnectError(error.message, error.code, undefined, details);
    }
  };

function messageOf({ publishAt, ...article }: Article): ArticleMessage {
  return create(ArticleSchema, { ...article, ...(publishAt && { publishAt: timestampFromDate(publishAt) }) });
}

/** Whoever calls us has asked who it is. Only the gateway can: see the README. @throws InvalidInputError */
function userOf(user: UserMessage | undefined): User {
  if (user === undefined || user.name === '' || !isRole(user.role)) {
    throw new InvalidInputError('user', user?.name, 'a name, and author or editor as the role');
  }
  return { name: user.name, role: user.role };
}

export const isRole = (role: string): role is Role => role === 'author' || role === 'editor';
