import { costLimitRule } from '@escape.tech/graphql-armor-cost-limit';
import { maxAliasesRule } from '@escape.tech/graphql-armor-max-aliases';
import { maxDepthRule } from '@escape.tech/graphql-armor-max-depth';
import { tell } from '@shared/story';
import { consensus, contest, ratios, standingsTable } from '@shared/testkit';
import DataLoader from 'dataloader';
import { buildSchema, parse, specifiedRules, type ValidationRule, validate } from 'graphql';
import { aliasLimit, costLimit, depthLimit, Loader } from './src/index.ts';
import { typeDefs } from './test/schema.ts';

const schema = buildSchema(typeDefs);

/** The least limit that lets a query pass. */
function found(make: (max: number) => ValidationRule, query: string): number {
  const document = parse(query);
  const isRefused = (max: number): boolean => {
    try {
      return validate(schema, document, [make(max)]).length > 0;
    } catch {
      return true;
    }
  };
  let [low, high] = [0, 1];
  while (isRefused(high)) [low, high] = [high + 1, high * 2];
  while (low < high) {
    const middle = Math.floor((low + high) / 2);
    if (isRefused(middle)) low = middle + 1;
    else high = middle;
  }
  return low;
}

await tell({ title: 'GraphQL: beside npm’s dataloader and graphql-armor', dir: import.meta.dirname }, async (story) => {
  await story.scene('A hundred keys, thirty of them different, through a loader', async () => {
    const keys = Array.from({ length: 100 }, (_, n) => n % 30);
    const batch = async (asked: readonly number[]) => asked.map((key) => key + 1);
    const [lab, npm] = await contest(
      {
        lab: () => {
          const loader = new Loader(batch);
          return Promise.all(keys.map((key) => loader.load(key)));
        },
        dataloader: () => {
          const loader = new DataLoader(batch);
          return Promise.all(keys.map((key) => loader.load(key)));
        },
      },
      { workers: 1, rounds: 7, turnMs: 300 },
    );
    if (!lab || !npm) throw new Error('two contestants');
    story.table(standingsTable([lab, npm]));
    const { text, median } = consensus(ratios(lab, npm));
    story.verdict('A loader of sixty lines keeps up with dataloader', `${text}`, median > 0.5);
  });

  await story.scene('What a limit costs, beside graphql’s own rules', async () => {
    const document =
      parse(`query ($n: Int) { articles(first: $n) { title ...A comments(first: 3) { text author { name } } } }
      fragment A on Article { author { name articles(first: 2) { title } } }`);
    const ours = [depthLimit(10), aliasLimit(15), costLimit(10_000, { variables: { n: 20 } })];
    const theirs = [maxDepthRule({ n: 20 }), maxAliasesRule({ n: 15 }), costLimitRule({ maxCost: 10_000 })];
    const [lab, armor, own] = await contest(
      {
        lab: async () => validate(schema, document, ours),
        'graphql-armor': async () => validate(schema, document, theirs),
        'graphql’s own rules': async () => validate(schema, document, specifiedRules),
      },
      { workers: 1, rounds: 7, turnMs: 300 },
    );
    if (!lab || !armor || !own) throw new Error('three contestants');
    story.table(standingsTable([lab, armor, own]));
    story.say(`The speed of graphql-armor: ${consensus(ratios(lab, armor)).text}.`);
    const share = own.perSecond / lab.perSecond;
    story.verdict(
      'Three limits take less than graphql’s own rules',
      `${(100 * share).toFixed(0)} % of their time`,
      share < 1,
    );
  });

  await story.scene('What each counts', async () => {
    const inline = '{ articles(first: 2) { author { articles(first: 2) { title } } } }';
    const spread =
      '{ articles(first: 2) { ...A } } fragment A on Article { author { ...B } } fragment B on Author { articles(first: 2) { title } }';
    const variable = 'query ($n: Int = 1000000000) { articles(first: $n) { title } }';
    const depths = (query: string) => [found(depthLimit, query), found((n) => maxDepthRule({ n }), query)] as const;
    const costs = (query: string) =>
      [found(costLimit, query), found((maxCost) => costLimitRule({ maxCost }), query)] as const;
    const [depth, fragments, cost] = [depths(inline), depths(spread), costs(variable)];
    story.table({
      columns: ['', 'lab', 'graphql-armor'],
      rows: [
        ['levels, written out', ...depth],
        ['levels, the same by two fragments', ...fragments],
        ['cost of first: $n, by default a billion', ...cost],
      ],
    });
    story.verdict(
      'A fragment is what its text is; graphql-armor counts it as a level',
      `${depth[0]} and ${fragments[0]}; ${depth[1]} and ${fragments[1]}`,
      depth[0] === fragments[0] && depth[1] < fragments[1],
    );
    story.verdict(
      'A variable counts; graphql-armor reads literals alone',
      `${cost[0].toLocaleString('en')}; ${cost[1]}`,
      cost[0] > 1e9 && cost[1] < 100,
    );
  });
});
