import '../../src/shop.css';
import { type Api, createApi, renewAt, Session } from '#lab';

/** The page's own script, whichever framework shows it. The access token is in memory alone; the cookie renews it. */
export async function start(mount: (element: Element, api: Api) => () => void): Promise<void> {
  const page = document.querySelector('#page');
  if (!page) throw new Error('the page has no #page');
  // In the address, so that a law need not wait as long as people do.
  const timeoutMs = Number(new URLSearchParams(location.search).get('timeoutMs') ?? 8000);
  const renew = renewAt(`${location.origin}/session/renew`);
  const session = new Session({
    // A server that can't be reached now is asked again when a token is needed.
    token: await renew().catch(() => undefined),
    renew,
    onEnd: () => document.body.setAttribute('data-session', 'ended'),
  });
  const unmount = mount(page, createApi({ baseUrl: location.origin, session, timeoutMs }));
  // So that a law can leave the page.
  document.addEventListener('leave', () => unmount(), { once: true });
}
