'use strict';
// Puts the run's data into the page, section by section. A part that is missing is said to be missing.
(() => {
  const {element, number, percent, css, figure} = Charts;
  const data = JSON.parse(document.getElementById('data').textContent);
  const $ = id => document.getElementById(id);
  const say = (id, text) => { $(id).append(element('p', {class: 'note'}, text)); };
  // Everyone who answered a norm's examples: [key in summary.json, name, colour, shape].
  const known = {base: ['Start model', '--start', 'circle'], rules: ['Start + rule filter', '--rules', 'triangle'], base_constrained: ['Start, constrained', '--start', 'diamond'],
    aligned: ['Trained', '--trained', 'circle'], aligned_constrained: ['Trained, constrained', '--trained', 'diamond']};
  const keysOf = norm => norm.comparators || ['base', 'rules', 'aligned'];
  function modelsOf(norm) {
    let others = 0;
    return keysOf(norm).map(key => [key, ...(known[key] || [key, '--c' + (3 + others++ % 4), 'circle'])]);
  }
  const describe = Object.fromEntries((data.norms || []).map(norm => [norm.name, norm]));
  const duration = s => s < 90 ? number(s, s < 10 ? 1 : 0) + ' s' : s < 5400 ? number(s / 60, 1) + ' min' : number(s / 3600, 1) + ' h';
  const day = time => time ? time.slice(0, 10) + ' ' + time.slice(11, 16) + ' UTC' : '';
  const facts = list => element('dl', {class: 'facts'}, list.filter(Boolean).map(([term, value, small]) =>
    element('div', {}, element('dt', {}, term), element('dd', {}, value, small ? element('small', {}, ' ' + small) : null))));

  function head() {
    const training = data.training, name = data.name || data.folder;
    $('run-name').textContent = name;
    const meta = [data.summary ? 'finished' : 'not finished'];
    if (training) meta.push('step ' + number(training.steps, 0) + (data.steps_planned ? ' of ' + number(data.steps_planned, 0) : ''));
    if (data.workers) meta.push(data.workers + (data.workers === 1 ? ' worker' : ' workers'));
    if (training && training.last_time) meta.push(day(training.last_time));
    if (name !== data.folder) meta.push('run directory ' + data.folder);
    meta.forEach(text => $('run-meta').append(element('span', {}, text)));
    $('verdict').textContent = data.verdict ||
      'This run has no final evaluation yet: it is still going on, or it ended before its last step, so there is no verdict.';
    (data.warnings || []).forEach(text => $('warnings').append(element('p', {class: 'note warning', role: 'note'}, element('strong', {}, 'Warning. '), text)));
    if (data.missing.length)
      $('missing').append(element('div', {class: 'note'}, 'Not in this report:',
        element('ul', {}, data.missing.map(m => element('li', {}, m.what + ' (' + m.why + ')')))));
    $('made').append('Made ' + day(data.generated) + '. Made again at any time, also while a run is going on, by ', element('code', {}, 'plumbline report RUN'), '.');
  }

  const interval = (value, format) => value ? format(value[0]) + ' to ' + format(value[1]) : '–';
  const score = v => number(v, 2);
  const scoreNameOf = about => about.score === 'column' ? 'column score' : about.score === 'chrf' ? 'chrF' : 'desired score';
  const signed = (v, digits) => (v > 0 ? '+' : '') + number(v, digits);
  const points = v => signed(100 * v, 1);

  // The whole result of a norm at one glance: the pairs of all comparators, and three samples before and after.
  function story() {
    if (!data.summary) return;
    const shown = Object.entries(data.summary.norms).filter(([, norm]) => norm.aligned && norm.aligned.examples);
    for (const [name, norm] of shown) {
      const part = element('section', {class: 'story'});
      if (shown.length > 1) part.append(element('h3', {}, name), element('p', {class: 'says'}, (data.sentences || {})[name]));
      part.append(storyPairs(name, norm));
      const samples = (data.samples || {})[name];
      if (samples && samples.story && samples.story.items.length) part.append(Samples.story(samples.story));
      $('story').append(part);
    }
  }

  function storyPairs(name, norm) {
    const models = modelsOf(norm), scoreName = scoreNameOf(describe[name] || {}), hasScore = norm.aligned.desired_score !== undefined;
    const cell = (value, small) => element('td', {class: 'n'}, value, small ? element('small', {}, small) : null);
    const row = ([key, label, colour, shape]) => {
      const m = norm[key], d = (norm.differences || {})[key];
      const mark = element('i', {class: shape});
      mark.style.background = 'var(' + colour + ')';
      return element('tr', {class: key === 'aligned' ? 'trained' : null}, element('th', {scope: 'row'}, mark, label),
        cell(percent(m.undesirable_rate), interval(m.undesirable_rate_ci, percent)),
        hasScore ? cell(score(m.desired_score), interval(m.desired_score_ci, score)) : null,
        d ? cell(points(d.undesirable_rate), interval(d.undesirable_rate_ci, points)) : cell('–'),
        hasScore ? d && d.desired_score !== undefined ? cell(signed(d.desired_score, 3), interval(d.desired_score_ci, v => signed(v, 3))) : cell('–') : null,
        cell(number(m.empty, 0) + ' + ' + number(m.copies, 0)));
    };
    const head = (text, small) => element('th', {scope: 'col', class: 'n'}, text, small ? element('small', {}, small) : null);
    const table = element('div', {class: 'scroll', tabindex: '0', role: 'region', 'aria-label': name + ': rates and scores of all comparators'}, element('table', {},
      element('thead', {}, element('tr', {}, element('th', {scope: 'col'}, 'Who answers'), head('Undesirable', 'share, 95%'), hasScore ? head('Score', scoreName.replace(' score', '') + ', 95%') : null,
        head('Trained − this', 'points, 95%'), hasScore ? head('Trained − this', 'score, 95%') : null, head('Empty', '+ copies'))),
      element('tbody', {}, models.map(row))));
    if (!hasScore) return element('div', {class: 'glance one'}, table);
    return element('div', {class: 'glance'}, table, Charts.pairs({title: 'Undesirable rate and score', note: 'better is up and to the left; lines are 95% intervals', x_title: 'undesirable outputs', y_title: scoreName,
      label: name + ': ' + models.map(([key, label]) => label + ' ' + percent(norm[key].undesirable_rate) + ' undesirable, score ' + score(norm[key].desired_score)).join('; '),
      points: models.map(([key, label, colour, shape]) => ({name: label, colour, shape, x: norm[key].undesirable_rate, y: norm[key].desired_score,
        x_interval: norm[key].undesirable_rate_ci, y_interval: norm[key].desired_score_ci}))}));
  }

  function results() {
    const at = $('results-body');
    if (!data.summary) return say('results-body', 'The final evaluation is not written yet. It compares the start model, the rule filter and the trained model when the run reaches its last step.');
    for (const [name, norm] of Object.entries(data.summary.norms)) {
      const about = describe[name] || {};
      const card = element('div', {class: 'card'}, element('header', {}, element('h3', {}, name),
        element('span', {class: 'badge'}, norm.judge === 'classifier'
          ? 'judged by a classifier' + (norm.judge_accuracy ? ', ' + percent(norm.judge_accuracy) + ' accurate on its own held-out rows' : '') : 'judged by exact rules'),
        about.objective ? element('span', {class: 'badge'}, 'objective ' + about.objective) : null),
        about.description ? element('p', {class: 'about'}, about.description) : null);
      at.append(card);
      if (!norm.aligned || !norm.aligned.examples) { card.append(element('p', {class: 'note'}, 'No held-out output of this norm was judged.')); continue; }
      card.append(normCharts(name, norm, about), normFacts(norm));
    }
  }

  function normCharts(name, norm, about) {
    const isColumn = about.score === 'column', scoreName = scoreNameOf(about), models = modelsOf(norm);
    const list = key => models.map(([m]) => norm[m][key] === undefined ? null : norm[m][key]);
    const difference = key => (norm.differences || {})[key] || {};
    const rows = models.map(([m, label]) => [label, norm[m].examples, percent(norm[m].undesirable_rate), interval(norm[m].undesirable_rate_ci, percent),
      score(norm[m].desired_score), interval(norm[m].desired_score_ci, score), norm[m].empty, norm[m].copies,
      Number.isFinite(difference(m).undesirable_rate) ? points(difference(m).undesirable_rate) : '–', interval(difference(m).undesirable_rate_ci, points),
      Number.isFinite(difference(m).desired_score) ? signed(difference(m).desired_score, 3) : '–', interval(difference(m).desired_score_ci, v => signed(v, 3))]);
    const headings = ['Model', 'Examples', 'Undesirable', '95% interval', 'Score', '95% interval', 'Empty', 'Copies of the source',
      'Trained − this, points', '95% interval', 'Trained − this, score', '95% interval'];
    const shared = {names: models.map(m => m[1]), colours: models.map(m => m[2])};
    const spoken = (what, key, format) => name + ', ' + what + ': ' + models.map(([m, label]) => label + ' ' + format(norm[m][key])).join(', ');
    const grid = element('div', {class: 'grid'}, Charts.bars({...shared, title: 'Undesirable outputs', note: 'share that the judge rejects; lower is better',
      data: list('undesirable_rate'), intervals: list('undesirable_rate_ci'), format: v => percent(v, v > 0 && v < 0.1 || v > 0.9 && v < 1 ? 1 : 0), most: 1,
      label: spoken('share of undesirable outputs', 'undesirable_rate', percent)}));
    if (list('desired_score').some(v => v !== null))
      grid.append(Charts.bars({...shared, title: 'Desired score', note: (isColumn ? 'share of true columns found, 0 if invalid' : scoreName + ' against the desired outputs') + '; higher is better',
        data: list('desired_score'), intervals: list('desired_score_ci'), format: score, most: 1, label: spoken(scoreName, 'desired_score', score)}));
    else
      grid.append(element('p', {class: 'about'}, 'The examples of this norm have no desired output, so there is no score.'));
    return element('div', {}, grid, Charts.numbers(headings, rows));
  }

  function normFacts(norm) {
    const d = norm.difference;
    const edge = norm.aligned.undesirable_rate === 0 || norm.aligned.undesirable_rate === 1;
    const part = element('div', {}, facts([
      ['Held-out examples', number(norm.aligned.examples, 0)],
      d ? ['Undesirable, trained − start', signed(100 * d.undesirable_rate, 1) + ' points', '95%: ' + d.ci.map(v => signed(100 * v, 1)).join(' to ')] : null,
      d && d.desired_score !== undefined ? ['Score, trained − start', signed(d.desired_score, 3), '95%: ' + d.desired_score_ci.map(v => signed(v, 3)).join(' to ')] : null,
      norm.preference_accuracy !== undefined ? ['Preference accuracy', percent(norm.preference_accuracy), 'of held-out pairs moved towards the desired side; 50% is chance'] : null,
      norm.aligned.empty || norm.base.empty ? ['Empty outputs, start → trained', norm.base.empty + ' → ' + norm.aligned.empty] : null,
      norm.aligned.copies || norm.base.copies ? ['Copies of the source, start → trained', norm.base.copies + ' → ' + norm.aligned.copies] : null
    ]));
    if (edge)
      part.append(element('p', {class: 'about'}, 'Every output of the trained model got the same verdict, so its interval has no width; with ' + norm.aligned.examples +
        ' examples the true rate can still be up to ' + percent(Math.min(1, 3 / norm.aligned.examples)) + ' away (95%).'));
    return part;
  }

  function samples() {
    if (!data.samples || !data.summary) return say('samples-body', 'Outputs are judged when the run reaches its last step.');
    const shown = Object.entries(data.samples).filter(([, s]) => s.rows > 0);
    if (!shown.length) return say('samples-body', 'No output was judged.');
    shown.forEach(([name, s]) => $('samples-body').append(Samples.card(name, s, modelsOf(data.summary.norms[name] || {}))));
  }

  function training() {
    if (!data.training) return say('training-body', 'No training metrics are there yet.');
    const t = data.training, at = $('training-body'), k = t.lines_per_point;
    at.append(element('p', {class: 'lead'}, 'Solid lines are the training batches' + (k > 1 ? ', each point the mean of ' + k + ' steps' : '') + '; dots are held-out examples.'));
    const names = [...new Set([...Object.keys(t.train), ...Object.keys(t.heldout)])].sort();
    const single = [];  // norms with one chart stand side by side
    names.forEach((name, index) => {
      const train = t.train[name] || {}, held = t.heldout[name] || {};
      const both = (key, word) => [{name: (word || '') + 'training', points: train[key], colour: index}, {name: (word || '') + 'held out', points: held[key], colour: index, dots: true, dashed: true}];
      const grid = element('div', {class: 'grid'});
      const add = (key, title, note, zero) => { if (train[key] || held[key]) grid.append(Charts.lines({title, note, lines: both(key), zero, label: null})); };
      add('undesirable_rate', 'Undesirable rate', 'of held-out examples kept for this', true);
      add('loss', 'Loss', 'of the norm’s objective', false);
      if (train['rewards/margins'] || held['rewards/margins'])
        add('rewards/margins', 'Reward margin', 'β-scaled log-ratio, desired − undesired', true);
      else if (JSON.stringify(train.nll_loss) !== JSON.stringify(train.loss))  // sft's loss is just that
        add('nll_loss', 'Negative log-likelihood', 'a token of the desired outputs', false);
      if (train['logps/chosen'] || train['logps/rejected'])
        grid.append(Charts.lines({title: 'Log-probabilities', note: 'logps/chosen and logps/rejected; the desired ones should not fall', lines: [
          {name: 'desired, training', points: train['logps/chosen'], colour: '--good'}, {name: 'undesired, training', points: train['logps/rejected'], colour: '--bad'},
          {name: 'desired, held out', points: held['logps/chosen'], colour: '--good', dots: true, dashed: true}, {name: 'undesired, held out', points: held['logps/rejected'], colour: '--bad', dots: true, dashed: true}]}));
      if (train['rewards/margins']) add('nll_loss', 'Negative log-likelihood', 'a token of the desired outputs', false);
      add('rewards/accuracies', 'Reward accuracy', 'share of pairs with a positive margin', true);
      if (!grid.children.length) return;
      const card = element('div', {class: 'card'}, element('header', {}, element('h3', {}, name)), grid);
      grid.classList.toggle('one', grid.children.length === 1);
      grid.children.length === 1 ? single.push(card) : at.append(card);
    });
    if (single.length) at.append(single.length === 1 ? single[0] : element('div', {class: 'grid cards'}, single));
    if (!names.length) say('training-body', 'The metrics hold no norm yet.');
  }

  // From low to high, for numbers: viridis, and on dark paper one that starts brighter. Norms take the palette.
  const ramps = {light: ['#440154', '#414487', '#2a788e', '#22a884', '#7ad151', '#fde725'], dark: ['#7d5fd0', '#5b7fe0', '#3fa3c4', '#45c59f', '#9fdc63', '#fdeb5a']};
  const dark = matchMedia('(prefers-color-scheme: dark)');
  function shade(share) {
    const ramp = dark.matches ? ramps.dark : ramps.light, x = Math.min(Math.max(share, 0), 1) * (ramp.length - 1), i = Math.min(Math.floor(x), ramp.length - 2), f = x - i;
    const channel = (hex, c) => parseInt(hex.slice(1 + 2 * c, 3 + 2 * c), 16);
    return 'rgb(' + [0, 1, 2].map(c => Math.round(channel(ramp[i], c) * (1 - f) + channel(ramp[i + 1], c) * f)).join(',') + ')';
  }

  function scatter() {
    const e = data.embedding, known = Object.entries(e.attributes || {}).filter(([, v]) => v.some(x => x !== null));
    const names = [...new Set(e.norms)];
    const options = [...known.map(([name]) => name), ...(names.length > 1 || !known.length ? ['norm'] : [])];
    let by = options.includes('divergence') ? 'divergence' : options[0];
    const share = e.explained.map(v => percent(v, 0));
    const key = element('p', {class: 'key'});
    const colours = () => {
      if (by === 'norm') return e.norms.map(name => Charts.series(names.indexOf(name)));
      const values = e.attributes[by], there = values.filter(v => v !== null), low = Math.min(...there), high = Math.max(...there);
      return values.map(v => v === null ? css('--start') : shade(high > low ? (v - low) / (high - low) : 0.5));
    };
    function legend() {
      key.replaceChildren();
      if (by === 'norm') return key.append(...names.map((name, i) => { const dot = element('i', {}); dot.style.background = Charts.series(i); return element('span', {}, dot, name); }));
      const there = e.attributes[by].filter(v => v !== null), bar = element('span', {class: 'ramp'});
      bar.style.background = 'linear-gradient(90deg,' + (dark.matches ? ramps.dark : ramps.light).join(',') + ')';
      key.append(element('span', {}, by.replace(/_/g, ' ') + ': ' + number(Math.min(...there)), bar, number(Math.max(...there))));
    }
    const values = known.map(([, v]) => v);
    const node = figure({title: 'In two dimensions', kind: 'tall',
      note: 'first two principal components, which hold ' + share.join(' and ') + ' of the variance; one dot an example',
      label: 'Scatter of ' + e.shown + ' encoder vectors over their first two principal components',
      headings: ['Example', 'First', 'Second', 'Norm', ...known.map(([name]) => name.replace(/_/g, ' '))],
      rows: e.points.slice(0, 500).map((p, i) => [i, number(p[0], 3), number(p[1], 3), e.norms[i], ...values.map(v => number(v[i]))]),
      configure: () => (legend(), {type: 'scatter',
        data: {datasets: [{data: e.points.map(([x, y]) => ({x, y})), backgroundColor: colours(), borderColor: Charts.faded(css('--ink'), 0.25), borderWidth: 0.5, pointRadius: 4, pointHoverRadius: 5}]},
        options: {plugins: {legend: {display: false}, tooltip: {callbacks: {label: item => [e.norms[item.dataIndex],
          ...known.map(([name, v]) => name.replace(/_/g, ' ') + ' ' + number(v[item.dataIndex]))]}}},
          scales: {x: {grid: {color: css('--line'), drawBorder: false}, ticks: {maxTicksLimit: 8, callback: v => number(v)}, title: {display: true, text: 'first component', color: css('--muted')}},
            y: {grid: {color: css('--line'), drawBorder: false}, ticks: {maxTicksLimit: 6, callback: v => number(v)}, title: {display: true, text: 'second component', color: css('--muted')}}}}})});
    const card = element('div', {class: 'card wide'}, node);
    if (options.length > 1) {
      const buttons = options.map(option => {
        const button = element('button', {type: 'button', 'aria-pressed': String(option === by)}, 'by ' + option.replace(/_/g, ' '));
        button.addEventListener('click', () => {
          by = option;
          buttons.forEach(b => b.setAttribute('aria-pressed', String(b === button)));
          Charts.redraw(node.querySelector('canvas'));
        });
        return button;
      });
      card.prepend(element('div', {class: 'controls', role: 'group', 'aria-label': 'Colour of the dots'}, buttons));
    }
    node.querySelector('.plot').after(key);
    return card;
  }

  function curve(name, probe, index) {
    const title = name.replace(/_/g, ' ');
    if (probe.skipped) return element('div', {class: 'card'}, element('h3', {}, 'Reading ' + title + ' off the vectors'), element('p', {class: 'about'}, 'Not estimated: ' + probe.skipped + '.'));
    const sizes = [...probe.sizes].sort((a, b) => a.size - b.size);
    const interval = ci => number(ci[0]) + ' to ' + number(ci[1]);
    const best = probe.sizes.reduce((a, b) => b.mae < a.mae ? b : a);
    const short = v => number(Number(v.toPrecision(3)));
    const separate = best.mae_ci[1] < probe.constant.mae_ci[0];
    const node = figure({title: 'Reading ' + title + ' off the vectors', note: 'mean absolute error of a ridge probe, by how many numbers of each vector are kept (' + probe.rows + ' examples, 5-fold)',
      kind: 'tall', label: 'Mean absolute error for ' + title + ' by size: ' + sizes.map(s => s.size + ' numbers ' + number(s.mae)).join(', ') + '; constant predictor ' + number(probe.constant.mae),
      headings: ['Numbers kept', 'Mean absolute error', '95% interval', 'R²'],
      rows: [...sizes.map(s => [s.size, number(s.mae), interval(s.mae_ci), number(s.r2, 2)]), ['none (constant)', number(probe.constant.mae), interval(probe.constant.mae_ci), '–']],
      configure: () => ({type: 'line', plugins: [Charts.whiskers],
        data: {labels: sizes.map(s => s.size + (s.size === data.probe.dimension ? ' (all)' : '')), datasets: [
          {label: 'ridge probe', data: sizes.map(s => s.mae), intervals: sizes.map(s => s.mae_ci), whiskerColor: Charts.series(index), borderColor: Charts.series(index), backgroundColor: Charts.series(index), pointRadius: 4, borderWidth: 1.8},
          {label: 'constant predictor', data: sizes.map(() => probe.constant.mae), borderColor: css('--start'), backgroundColor: css('--start'), borderDash: [5, 4], pointRadius: 0, borderWidth: 1.8}]},
        options: {plugins: {legend: {align: 'start', labels: {boxWidth: 18, boxHeight: 1.5, color: css('--muted')}},
          tooltip: {callbacks: {label: item => item.dataset.label + ': ' + number(item.parsed.y) + (item.datasetIndex === 0 ? ', R² ' + number(sizes[item.dataIndex].r2, 2) : '')}}},
          scales: {x: {grid: {display: false, drawBorder: false}, title: {display: true, text: 'numbers kept of each vector', color: css('--muted')}},
            y: {beginAtZero: true, grid: {color: css('--line'), drawBorder: false}, ticks: {maxTicksLimit: 6}}}}})});
    return element('div', {class: 'card'}, node, element('p', {class: 'about'}, separate
      ? 'At best ' + short(best.mae) + ' off (' + best.size + (best.size === 1 ? ' number' : ' numbers') + ', R² ' + number(best.r2, 2) + '); always answering the mean is ' + short(probe.constant.mae) + ' off.'
      : 'At best ' + short(best.mae) + ' off, and always answering the mean ' + short(probe.constant.mae) + '; their intervals overlap, so the vectors do not clearly hold this number.'));
  }

  function vectors() {
    const at = $('vectors-body'), e = data.embedding;
    if (!e || !e.points.length) return say('vectors-body', 'No snapshot of the encoder is there yet.');
    at.append(element('p', {class: 'lead'}, 'The encoder turns each of ' + number(e.rows, 0) + ' fixed held-out sources into ' + number(e.dimension, 0) + ' numbers (' + e.pooling +
      ' over its tokens, step ' + number(e.step, 0) + '). Here they are in two dimensions, and compressed by principal components down to one number: how well can what is known of a source still be read off?'));
    const cards = [scatter(), ...Object.entries((data.probe || {}).attributes || {}).map(([name, probe], i) => curve(name, probe, i))];
    at.append(element('div', {class: 'grid cards'}, cards));
    if (cards.length === 1) say('vectors-body', 'The examples carry no numbers such as root length or divergence, so nothing is estimated from the vectors.');
  }

  function compute() {
    const t = data.training, at = $('compute-body');
    if (!t) return say('compute-body', 'No training metrics are there yet.');
    const tokens = t.source_tokens + t.output_tokens;
    at.append(element('div', {class: 'card'}, facts([
      ['Training steps', number(t.steps, 0)], ['Time in steps', duration(t.seconds)],
      tokens ? ['Tokens', number(tokens, 0), 'source and output, padding not counted'] : null,
      tokens && t.seconds ? ['Tokens a second', number(tokens / t.seconds, 0), 'mean'] : null])));
    const cards = element('div', {class: 'grid cards'});
    if (t.run.tokens_per_second)
      cards.append(element('div', {class: 'card'}, Charts.lines({title: 'Throughput', note: 'tokens a second', zero: true, format: v => number(v), lines: [{name: 'tokens a second', points: t.run.tokens_per_second, colour: 2}]})));
    const phases = Object.entries(t.phases).sort((a, b) => b[1] - a[1]), sum = phases.reduce((s, p) => s + p[1], 0);
    if (sum > 0)
      cards.append(element('div', {class: 'card'}, figure({title: 'Time by phase', note: 'rank 0, all steps', headings: ['Phase', 'Seconds', 'Share'],
        rows: phases.map(([name, s]) => [name, number(s, 1), percent(s / sum)]), label: 'Time by phase: ' + phases.map(([name, s]) => name + ' ' + percent(s / sum)).join(', '),
        configure: () => ({type: 'doughnut', data: {labels: phases.map(([name, s]) => name + '  ' + percent(s / sum, 0)), datasets: [{data: phases.map(p => p[1]),
          backgroundColor: phases.map((_, i) => Charts.series(i)), borderColor: css('--card'), borderWidth: 2}]},
          options: {cutout: '62%', plugins: {legend: {position: 'right', labels: {boxWidth: 11, boxHeight: 11, color: css('--ink'), font: {size: 13}}},
            tooltip: {callbacks: {label: item => phases[item.dataIndex][0] + ': ' + duration(item.raw)}}}}})})));
    if (t.run.learning_rate)
      cards.append(element('div', {class: 'card'}, Charts.lines({title: 'Learning rate', zero: true, lines: [{name: 'learning rate', points: t.run.learning_rate, colour: 3}]})));
    if (t.run.grad_norm)
      cards.append(element('div', {class: 'card'}, Charts.lines({title: 'Gradient norm', note: 'before clipping', zero: true, lines: [{name: 'gradient norm', points: t.run.grad_norm, colour: 4}]})));
    at.append(cards);
  }

  function configuration() {
    const groups = new Map();
    for (const [path, value] of data.config) {
      const dot = path.indexOf('.'), group = dot < 0 ? 'run' : path.slice(0, dot);
      if (!groups.has(group)) groups.set(group, []);
      groups.get(group).push([dot < 0 ? path : path.slice(dot + 1), value]);
    }
    return element('div', {class: 'card'}, element('h3', {}, 'Configuration'), element('p', {class: 'about'}, 'As resolved, defaults included (config.yaml).'),
      element('div', {class: 'configuration'}, [...groups].map(([group, rows]) => element('div', {}, element('h4', {}, group),
        element('table', {}, element('tbody', {}, rows.map(([key, value]) => element('tr', {}, element('td', {}, key), element('td', {}, value === '' ? '–' : value)))))))));
  }

  function events() {
    const j = data.journal, start = j.events.length ? Date.parse(j.events[0].time) : NaN;
    const since = time => { const s = (Date.parse(time) - start) / 1000; return Number.isFinite(s) ? '+' + duration(s) : ''; };
    const card = element('div', {class: 'card'}, element('h3', {}, 'Events'),
      element('p', {class: 'about'}, 'From journal.jsonl' + (j.events.length ? ', since ' + day(j.events[0].time) : '') + '.' +
        (j.left_out ? ' ' + j.left_out + ' in the middle are left out.' : '') + (j.unreadable ? ' ' + (j.unreadable === 1 ? 'One line' : j.unreadable + ' lines') + ' could not be read.' : '')));
    card.append(element('ol', {class: 'timeline', tabindex: '0'}, j.events.map(event => element('li', {},
      element('time', {datetime: event.time, title: event.time}, since(event.time)), element('span', {class: 'what'}, event.event.replace(/_/g, ' ')),
      element('span', {class: 'with'}, event.data.map(([key, value]) => (key ? key.replace(/_/g, ' ') + ' ' : '') + (/^\d{5,}$/.test(value) ? number(Number(value), 0) : value)).join(' · '))))));
    if (j.routine.length)
      card.append(element('p', {class: 'about'}, 'Counted, not listed: ' + j.routine.map(r => r.event.replace(/_/g, ' ') + ' ' + number(r.count, 0) + ' times').join(', ') + '.'));
    return card;
  }

  function run() {
    if (data.summary) $('run-body').append(element('div', {class: 'card'}, element('h3', {}, 'Weights'),
      element('p', {class: 'about'}, 'SHA-256 of model.safetensors at step ' + number(data.summary.step, 0) + '. On one kind of machine the same run gives the same weights on any number of workers.'), element('code', {}, data.summary.weights_sha256)));
    data.journal ? $('run-body').append(events()) : say('run-body', 'There is no journal.');
    data.config ? $('run-body').append(configuration()) : say('run-body', 'There is no configuration.');
  }

  [head, story, results, samples, training, vectors, compute, run].forEach(section => section());
  Charts.draw();
  dark.addEventListener('change', Charts.draw);
  addEventListener('beforeprint', Charts.resize);
  addEventListener('afterprint', Charts.resize);
  document.documentElement.dataset.drawn = 'yes';
})();
