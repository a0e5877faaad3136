/** A browser without a window, scripts or haste: it keeps cookies by host, follows redirects and fills in the desk's forms. */
export class Guest {
  readonly cookies = new Map<string, string>();

  /** Follows `url` through the desk's pages until it leads to `until`. @returns that address, unvisited */
  async login(url: URL | string, until: string, name = 'mo'): Promise<URL> {
    let next = new URL(url);
    let body: URLSearchParams | undefined;
    for (let step = 0; step < 20; step++) {
      if (next.href.startsWith(until)) return next;
      const response = await this.fetch(next, body);
      const location = response.headers.get('location');
      const page = await response.text();
      const action = /<form[^>]* action="([^"]+)"/.exec(page)?.[1];
      if (location !== null) [next, body] = [new URL(location, next), undefined];
      else if (action === undefined) throw new Error(`${response.status} at ${next.pathname}: ${page.slice(0, 400)}`);
      else if (page.includes('name="login"')) {
        [next, body] = [new URL(action, next), new URLSearchParams({ prompt: 'login', login: name, password: 'x' })];
      } else [next, body] = [new URL(action, next), new URLSearchParams({ prompt: 'consent' })];
    }
    throw new Error(`still at ${next} after 20 steps`);
  }

  async fetch(url: URL, body?: URLSearchParams): Promise<Response> {
    const cookie = [...this.cookies].map(([name, value]) => `${name}=${value}`).join('; ');
    const response = await fetch(url, {
      redirect: 'manual',
      headers: { cookie },
      ...(body && { method: 'POST', body }),
    });
    for (const line of response.headers.getSetCookie()) {
      const [pair = ''] = line.split(';', 1);
      const [name = '', value = ''] = pair.split('=', 2);
      if (value === '') this.cookies.delete(name);
      else this.cookies.set(name, value);
    }
    return response;
  }
}
