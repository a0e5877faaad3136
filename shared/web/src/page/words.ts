/** The page's own words. What the labs say stays as it was written. */
const en = {
  tagline: 'Backend concepts you can run: the failure first, then the fix, on real servers.',
  find: 'Find a lab',
  nothingFound: 'No lab has these words.',
  language: '中文',
  labs: 'All labs',
  needs: 'needs',
  needsNothing: 'needs no server',
  notAtHand: 'not at hand: pnpm lab doctor says how to get it',
  takes: 'demo',
  coreLaws: 'core laws',
  after: 'after',
  understood: 'understood',
  solved: 'solved',
  of: 'of',
  story: 'Story',
  laws: 'Laws and pitfalls',
  build: 'Build it',
  files: 'Files',
  run: 'Run',
  again: 'Run again',
  stop: 'Stop',
  slower: 'Slower',
  next: 'Next',
  seed: 'Seed',
  anySeed: 'random',
  which: 'Story',
  demo: 'the demo',
  text: 'README',
  hideText: 'Wider',
  showText: 'Show the README',
  ready: 'Press Run: real servers start, and each claim is measured.',
  readyRecorded: 'A recorded run. Press Run to see it told again.',
  starting: 'Servers are starting…',
  running: 'Running…',
  stopped: 'Stopped.',
  over: 'Told to its end.',
  failed: 'It did not come out: exit code',
  scene: 'Scene',
  skipped: 'not shown here',
  holds: 'holds',
  fails: 'does not hold',
  ofVerdicts: 'claims hold',
  inspect: 'look inside',
  seedUsed: 'seed',
  coreTitle: 'Core laws',
  coreLead: 'The way from the stub to the idea, in this order. Each catches at least one pitfall.',
  hardeningTitle: 'Hardening laws',
  hardeningLead: 'What makes the reference fit for a product.',
  runSuite: 'Run all laws on the reference',
  pitfallsTitle: 'Find the flaw',
  pitfallsLead: 'Variants with one flaw each, seen in real projects. Read one before you ask.',
  showDiff: 'Show the flaw',
  hideDiff: 'Hide the flaw',
  reference: 'reference',
  runLaw: 'Run the law that catches it',
  caughtBy: 'Caught by',
  seenIn: 'Seen in',
  recordedResult: 'As it was when these pages were recorded',
  passed: 'holds',
  broken: 'broken',
  skippedLaw: 'skipped',
  judged: 'judged',
  learnLead: 'Your copy of the exercise stays in your editor. Each time you save it, it is graded here.',
  learnStart: 'Begin, or go on',
  learnEnd: 'Leave',
  hint: 'Hint',
  rerun: 'Run again',
  diff: 'Diff to the reference',
  all: 'On to all laws',
  learnStatic: 'To build it yourself, you need the repository:',
  loading: 'Loading…',
  lost: 'The server is gone. Start `pnpm lab web` again.',
  notFound: 'There is no such page.',
  skip: 'Skip to the content',
  copy: 'copy into your product',
};

export type Words = { readonly [Key in keyof typeof en]: string };

const zh: Words = {
  tagline: '可以运行的后端概念：先看失败，再看修复，全部在真实的服务器上。',
  find: '查找实验',
  nothingFound: '没有匹配的实验。',
  language: 'English',
  labs: '全部实验',
  needs: '需要',
  needsNothing: '不需要服务器',
  notAtHand: '本机没有：pnpm lab doctor 会说明如何获得',
  takes: '演示',
  coreLaws: '条核心定律',
  after: '先修',
  understood: '已理解',
  solved: '已完成',
  of: '/',
  story: '演示',
  laws: '定律与陷阱',
  build: '自己实现',
  files: '文件',
  run: '运行',
  again: '再运行一次',
  stop: '停止',
  slower: '慢速',
  next: '下一步',
  seed: '随机种子',
  anySeed: '随机',
  which: '演示',
  demo: '主演示',
  text: 'README',
  hideText: '加宽',
  showText: '显示 README',
  ready: '点击“运行”：真实的服务器会启动，每个结论都是测量出来的。',
  readyRecorded: '这是一次录制的运行。点击“运行”重新播放。',
  starting: '正在启动服务器…',
  running: '运行中…',
  stopped: '已停止。',
  over: '演示结束。',
  failed: '演示没有成立，退出码',
  scene: '场景',
  skipped: '此处无法演示',
  holds: '成立',
  fails: '不成立',
  ofVerdicts: '个结论成立',
  inspect: '查看内部',
  seedUsed: '随机种子',
  coreTitle: '核心定律',
  coreLead: '从空白到理解的路径，按此顺序。每条至少抓住一个陷阱。',
  hardeningTitle: '加固定律',
  hardeningLead: '让参考实现可以用于生产。',
  runSuite: '在参考实现上运行全部定律',
  pitfallsTitle: '找出缺陷',
  pitfallsLead: '每个变体有一个缺陷，都来自真实项目。先读代码，再看答案。',
  showDiff: '显示缺陷',
  hideDiff: '隐藏缺陷',
  reference: '参考实现',
  runLaw: '运行抓住它的定律',
  caughtBy: '抓住它的定律',
  seenIn: '出处',
  recordedResult: '录制本页时的结果',
  passed: '成立',
  broken: '被打破',
  skippedLaw: '跳过',
  judged: '已判定',
  learnLead: '你的练习副本留在你的编辑器里。每次保存，这里都会评分。',
  learnStart: '开始或继续',
  learnEnd: '离开',
  hint: '提示',
  rerun: '重新运行',
  diff: '与参考实现对比',
  all: '继续全部定律',
  learnStatic: '要自己实现，需要代码仓库：',
  loading: '加载中…',
  lost: '服务器已停止。请重新运行 `pnpm lab web`。',
  notFound: '没有这个页面。',
  skip: '跳到正文',
  copy: '复制到你的产品里',
};

export const languages = { en, zh } as const;
export type Language = keyof typeof languages;

/** What the reader chose last, else what the browser prefers. */
export function firstLanguage(): Language {
  const chosen = remembered();
  if (chosen === 'en' || chosen === 'zh') return chosen;
  return navigator.languages.find((each) => /^(zh|en)\b/.test(each))?.startsWith('zh') ? 'zh' : 'en';
}

const key = 'concept-labs-language';

/** A browser may refuse to remember. */
function remembered(): string | null {
  try {
    return localStorage.getItem(key);
  } catch {
    return null;
  }
}

export function remember(language: Language): void {
  try {
    localStorage.setItem(key, language);
  } catch {
    // It is asked for again next time.
  }
}
