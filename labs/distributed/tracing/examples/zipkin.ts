// The delivery's page, 快递官网的物流查询页: one parcel's trace in Zipkin, looked at in a real browser.
import { startBrowser, startPostgres, startRedis, startZipkin } from '@shared/services';
import { tell } from '@shared/story';
import { until } from '@shared/testkit';
import { startCompany } from '../test/parcel/processes.ts';

await tell({ title: 'Tracing 链路追踪: the waybill in Zipkin', dir: import.meta.dirname }, async (story) => {
  const [redis, postgres, zipkin, browser] = await Promise.all([
    story.use(startRedis()),
    story.use(startPostgres()),
    story.use(startZipkin()),
    story.use(startBrowser()),
  ]);
  await story.scene('One parcel, three processes, one page', async () => {
    story.say(
      'Three parts: a scanner in every process (the instrumentations), a data centre (Zipkin collects and keeps), and a page ' +
        'on which a number finds a parcel.',
    );
    await using company = await startCompany({
      redis: redis.nodes[0].url,
      postgres: postgres.url,
      prefix: `${redis.namespace}zipkin`,
      collector: '',
      zipkin: zipkin.url,
      ratio: 1,
      hook: true,
      waybill: true,
      delayMs: 100,
      slowMs: 800,
    });
    const { text } = await company.order('parcel');
    await until(() => company.delivered('parcel'), { timeoutMs: 10_000, what: 'the parcel to arrive' });
    await company.end('SIGTERM');
    const { traceId }: { traceId: string } = JSON.parse(text);
    const kept = await until(
      async () => {
        const answer = await fetch(`${zipkin.url}/api/v2/trace/${traceId}`);
        const spans: unknown = answer.ok ? await answer.json() : [];
        return Array.isArray(spans) && spans.length > 25 ? spans : undefined;
      },
      { timeoutMs: 10_000, what: 'Zipkin to have all spans' },
    );
    const page = await browser.page({ width: 1280, height: 900 });
    await page.goto(`${zipkin.url}/zipkin/traces/${traceId}`);
    const shown = await until(
      async () => {
        const body = (await page.locator('body').textContent()) ?? '';
        return /courier/i.test(body) ? body : undefined;
      },
      { timeoutMs: 15_000, what: 'the page to show the courier' },
    );
    const services = ['shop', 'payment', 'courier'].filter((name) => shown.toLowerCase().includes(name));
    const number = (label: string) => Number(new RegExp(`${label}\\D*(\\d+)`, 'i').exec(shown)?.[1] ?? Number.NaN);
    story.verdict('The page shows all three processes', services.join(', '), services.length === 3);
    story.verdict(
      'and every span',
      `${number('Total Spans')} of ${kept.length}`,
      number('Total Spans') === kept.length,
    );
  });
});
