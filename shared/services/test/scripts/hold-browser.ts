// Starts a browser with a page open, says the folder of its profile, and stays.
import { startBrowser } from '../../src/index.ts';

const browser = await startBrowser();
await browser.page();
console.log(JSON.stringify('open'));
setInterval(() => {}, 1000);
