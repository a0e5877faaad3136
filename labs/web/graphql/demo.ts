import { once } from 'node:events';
import { createServer } from 'node:http';
import { startPostgres } from '@shared/services';
import { tell } from '@shared/story';
import {
  aliasLimit,
  costLimit,
  createLoaders,
  depthLimit,
  hashOf,
  Loader,
  persisted,
  useLimits,
  usePersisted,
} from './src/index.ts';
import { openKiosk, poolOf, stock } from './test/kiosk.ts';

const options = {
  title: 'GraphQL 查询语言',
  subtitle: 'A magazine kiosk: the client says what it needs, and what that asks of the server',
  dir: import.meta.dirname,
};

/** Fragments that spread the next one twice: 2 ^ 8 names, written out. */
const doubling = `{ articles(first: 1) { author { ...A0 } } } fragment A8 on Author { name } ${Array.from(
  { length: 8 },
  (_, n) => `fragment A${n} on Author { articles(first: 1) { x: author { ...A${n + 1} } y: author { ...A${n + 1} } } }`,
).join(' ')}`;
const aliases = (count: number) =>
  `{ ${Array.from({ length: count }, (_, n) => `a${n}: article(id: ${n}) { title }`).join(' ')} }`;
const nest = (levels: number): string => (levels === 0 ? '{ name }' : `{ articles { author ${nest(levels - 1)} } }`);
const circle = (levels: number) => `{ articles { author ${nest(levels)} } }`;
const objectsIn = (text: string): number => text.split('{').length - 2;
const number = (n: number) => n.toLocaleString('en');

await tell(options, async (story) => {
  const pg = await story.use(startPostgres());
  await using bin = new AsyncDisposableStack();
  const pool = bin.adopt(poolOf(pg.url, 'kiosk'), (it) => it.end());
  await stock(pool, 'kiosk', { articles: 100, authors: 5, comments: 3 });
  const question = '{ articles(first: 100) { title author { name } } }';

  await story.scene('The page needs titles and names', async () => {
    story.say(
      'A page shows a hundred titles, each with its author. A REST interface has what articles are, and what authors are. GraphQL has a question: `{ articles(first: 100) { title author { name } } }`.',
    );
    const rest = { requests: 0, bytes: 0, statements: 0 };
    const graphql = { requests: 0, bytes: 0 };
    const each = openKiosk(pool, { resolvers: 'each' });
    const server = createServer(async (request, response) => {
      const [, table, id] = request.url?.split('/') ?? [];
      if (table !== 'authors' && table !== 'articles') return void each.yoga(request, response);
      rest.statements++;
      const where = id ? 'WHERE id = $1' : 'ORDER BY id';
      const { rows } = await pool.query<object>(`SELECT * FROM ${table} ${where}`, id ? [id] : []);
      response.end(JSON.stringify(id ? rows[0] : rows));
    }).listen(0, '127.0.0.1');
    bin.defer(() => void server.close());
    bin.defer(() => server.closeAllConnections());
    await once(server, 'listening');
    const address = server.address();
    const base = `http://127.0.0.1:${typeof address === 'object' ? address?.port : ''}`;
    const get = async (path: string, wire: { requests: number; bytes: number }) => {
      const text = await (await fetch(`${base}${path}`)).text();
      wire.requests++;
      wire.bytes += text.length;
      return text;
    };
    const articles: { author_id: number }[] = JSON.parse(await get('/articles', rest));
    for (const { author_id } of articles) await get(`/authors/${author_id}`, rest);
    const answer = await get(`/graphql?query=${encodeURIComponent(question)}`, graphql);
    const batched = openKiosk(pool);
    const { text } = await batched.ask(question);
    story.table({
      columns: ['', 'requests', 'bytes to the client', 'SQL statements'],
      rows: [
        ['REST', rest.requests, number(rest.bytes), rest.statements],
        ['GraphQL, each resolver asks', graphql.requests, number(graphql.bytes), each.sql.length],
        ['GraphQL, resolvers through a loader', 1, number(text.length), batched.sql.length],
      ],
    });
    story.verdict(
      'Too much in one response, too little in it: on the wire GraphQL ends both',
      `${number(rest.bytes)} bytes in ${rest.requests} requests → ${number(graphql.bytes)} in ${graphql.requests}`,
      graphql.requests === 1 && rest.bytes > 20 * graphql.bytes,
    );
    story.verdict(
      'It has only moved: behind the one request the server asks 101 times',
      `${each.sql.length} statements`,
      each.sql.length === 101,
    );
    story.verdict(
      'A loader collects the keys of one level, and asks once for each level',
      `${batched.sql.length} statements, the same answer`,
      batched.sql.length === 2 && text === answer,
    );
  });

  await story.scene('Whose loader it is', async () => {
    story.say(
      'A loader remembers. Ann and Ben each read their own note on the same article, in ten requests each. Once with a loader that lives as long as the server, once with one for each request.',
    );
    const sql = 'SELECT text FROM notes WHERE reader = $1 AND article_id = ANY($2)';
    const loaderOf = (reader: string) =>
      new Loader<string, string>(async (ids) => (await pool.query(sql, [reader, ids])).rows.map(({ text }) => text));
    const forAll = loaderOf('ann');
    const perRequest = createLoaders({ note: ({ reader }: { reader: string }) => loaderOf(reader) });
    const foreign = async (noteOf: (reader: string) => Promise<string>) => {
      const requests = Array.from({ length: 20 }, (_, n) => (n % 2 ? 'ben' : 'ann'));
      const read = await Promise.all(requests.map(async (reader) => (await noteOf(reader)).startsWith(reader)));
      return read.filter((isOwn) => !isOwn).length;
    };
    const shared = await foreign(() => forAll.load('7'));
    const own = await foreign((reader) => perRequest.of({ reader }).note.load('7'));
    story.verdict('One loader for all shows Ann’s note to Ben', `in ${shared} of his 10 requests`, shared === 10);
    story.verdict('Loaders that hang on the request do not', `in ${own} of 20`, own === 0);
  });

  const rules = ({ variables }: { variables: Record<string, unknown> | undefined }) => [
    depthLimit(7),
    aliasLimit(15),
    costLimit(5000, { variables }),
  ];
  const open = openKiosk(pool, { resolvers: 'each' });
  const guarded = openKiosk(pool, { plugins: [useLimits({ rules })] });

  await story.scene('A circle of a hundred bytes', async () => {
    story.say(
      'An article has an author, an author has articles. The query goes round and round; each round is 24 bytes more, and ten times as many objects.',
    );
    const batched = openKiosk(pool);
    const answers: { bytes: number; text: string }[] = [];
    for (const levels of [0, 1, 2, 3, 4]) {
      answers.push({ bytes: circle(levels).length, text: (await batched.ask(circle(levels))).text });
    }
    story.bars({
      title: 'Objects in the answer, by the bytes of the query',
      picture: true,
      items: answers.map(({ bytes, text }) => ({
        label: `${bytes} bytes`,
        value: objectsIn(text),
        tone: 'bad' as const,
      })),
    });
    const { bytes, text } = answers.at(-1) ?? { bytes: 0, text: '' };
    story.verdict(
      'A query of about a hundred bytes makes ten thousand times as many objects as the first',
      `${bytes} bytes: ${number(objectsIn(text))} objects, ${(text.length / 1e6).toFixed(1)} MB; loaders don’t help`,
      bytes < 150 && objectsIn(text) > 100_000,
    );
    const refused = await guarded.ask(circle(4));
    story.say(`The server with limits answers: ${refused.errors[0]?.message}`);
    story.verdict(
      'A limit refuses it before a resolver runs',
      `HTTP ${refused.status} ${refused.code}, ${guarded.sql.length} statements`,
      refused.status === 400 && refused.code === 'DEPTH_LIMIT' && guarded.sql.length === 0,
    );
  });

  await story.scene('Wide, hidden, and in a variable', async () => {
    story.say(
      'A limit on the depth is not enough. Four more queries, each to a server without limits, on which each resolver asks by itself, and to one with limits. Behind them come sixty friendly ones.',
    );
    story.code('src/limits.ts', { from: "return limit('ALIAS_LIMIT'", to: ');' });
    const variable = 'query ($n: Int) { articles(first: $n) { author { name } } }';
    const attacks = [
      { name: 'a thousand aliases', query: aliases(1000) },
      { name: 'forty aliases', query: aliases(40) },
      { name: 'first: $n, a billion', query: variable, variables: { n: 1e9 } },
      { name: '8 fragments that double', query: doubling },
    ];
    const rows: (string | number)[][] = [];
    for (const { name, query, variables } of attacks) {
      open.sql.length = 0;
      guarded.sql.length = 0;
      await open.ask(query, { variables });
      const { status, code } = await guarded.ask(query, { variables });
      rows.push([name, number(query.length), number(open.sql.length), `${status} ${code}`, guarded.sql.length]);
    }
    story.table({ columns: ['query', 'bytes', 'SQL without', 'with limits', 'SQL'], rows });
    guarded.sql.length = 0;
    const friendly = await Promise.all(
      Array.from({ length: 60 }, (_, n) => guarded.ask(variable, { variables: { n: 1 + n } })),
    );
    const passed = friendly.filter(({ data }, n) => data?.articles.length === 1 + n).length;
    const refused = rows.filter(([, , , answer, sql]) => String(answer).startsWith('400 ') && sql === 0).length;
    story.verdict('Each is refused with HTTP 400 and a code', `${refused} of 4, 0 statements`, refused === 4);
    story.verdict(
      'A limit counts the variable of each request, the friendly ones too',
      `${passed} of 60 answered`,
      passed === 60,
    );
  });

  await story.scene('What an error tells', async () => {
    story.say('A table was renamed. The field `takings` fails, the articles beside it do not.');
    const query = '{ takings articles(first: 1) { title } }';
    const bare = await openKiosk(pool, { masked: false }).ask(query);
    const kiosk = openKiosk(pool);
    const masked = await kiosk.ask(query);
    const [told, id] = [masked.errors[0]?.message, masked.errors[0]?.extensions?.id];
    story.table({
      columns: ['', 'what the client reads'],
      rows: [
        ['as it was thrown', bare.errors[0]?.message ?? ''],
        ['masked', told ?? ''],
      ],
    });
    const [entry] = kiosk.incidents;
    story.verdict(
      'The text of an error names a table of ours',
      bare.errors[0]?.message ?? '',
      bare.text.includes('sales_2025'),
    );
    story.verdict(
      'Masked it is an id, which the log has with the whole error; what did not fail is there',
      `${id?.slice(0, 8)}…, in the log: ${entry?.id === id ? 'yes' : 'no'}, articles: ${masked.data?.articles.length}`,
      !masked.text.includes('sales_2025') && entry?.id === id && masked.data?.articles.length === 1,
    );
  });

  await story.scene('Only what is on the list', async () => {
    story.say(
      'If all clients are ours, their queries are known when they are built. The server has the list; a client sends the hash.',
    );
    const listed = openKiosk(pool, { plugins: [usePersisted(persisted([question]))] });
    const named = (hash: string) => ({ extensions: { persistedQuery: { version: 1, sha256Hash: hash } } });
    const known = await listed.ask(undefined, named(hashOf(question)));
    listed.sql.length = 0;
    const unknown = [
      await listed.ask('{ articles { body } }'),
      await listed.ask(undefined, named(hashOf('{ articles { body } }'))),
      await listed.ask('{ articles { body } }', named(hashOf('{ articles { body } }'))),
    ];
    story.table({
      columns: ['the client sends', 'answer'],
      rows: [
        ['a hash on the list', `${known.status}, ${known.data?.articles.length} articles`],
        ...['a text', 'a hash', 'both, as APQ registers them'].map((what, n) => [
          `${what}, not on it`,
          `${unknown[n]?.status} ${unknown[n]?.code}`,
        ]),
      ],
    });
    const refused = unknown.filter(({ status }) => status === 400).length;
    story.verdict(
      'A server with a list refuses what it does not know',
      `${refused} of 3 refused, ${listed.sql.length} statements`,
      refused === 3 && listed.sql.length === 0 && known.data?.articles.length === 100,
    );
  });

  story.next([
    '`pnpm lab learn graphql` to build it yourself',
    '`pnpm lab bench graphql`: beside npm’s dataloader and graphql-armor',
  ]);
});
