'use strict';
// Charts on Chart.js: colours from the style sheet, whiskers and value labels, a table with the numbers under each chart.
const Charts = (() => {
  const made = [];
  const css = name => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const faded = (colour, share) => colour + Math.round(share * 255).toString(16).padStart(2, '0');
  const series = index => css('--c' + (index % 6 + 1));

  function element(tag, attributes, ...children) {
    const node = document.createElement(tag);
    for (const [key, value] of Object.entries(attributes || {}))
      if (value !== undefined && value !== null) key === 'class' ? node.className = value : node.setAttribute(key, value);
    for (const child of children.flat()) if (child !== null && child !== undefined) node.append(child);  // strings become text
    return node;
  }

  function number(value, digits) {
    if (value === null || value === undefined || !Number.isFinite(value)) return '–';
    if (digits !== undefined) return value.toLocaleString('en', {minimumFractionDigits: digits, maximumFractionDigits: digits}).replace('-', '−');
    const size = Math.abs(value);
    if (size !== 0 && (size < 0.0001 || size >= 1e6)) return value.toExponential(2).replace('-', '−');
    return value.toLocaleString('en', {maximumSignificantDigits: 4}).replace('-', '−');
  }
  const percent = (value, digits = 1) => Number.isFinite(value) ? number(100 * value, digits) + '%' : '–';

  function table(headings, rows) {
    const numeric = headings.map((_, i) => i > 0 && rows.length > 0 && rows.every(r => /^[−+–\d]/.test(String(r[i]))));
    return element('div', {class: 'scroll', tabindex: '0', role: 'region', 'aria-label': 'Numbers of the chart'},
      element('table', {},
        element('thead', {}, element('tr', {}, headings.map((h, i) => element('th', {scope: 'col', class: numeric[i] ? 'n' : null}, h)))),
        element('tbody', {}, rows.map(row => element('tr', {}, row.map((cell, i) =>
          i === 0 ? element('th', {scope: 'row'}, String(cell)) : element('td', {class: numeric[i] ? 'n' : null}, String(cell))))))));
  }

  function numbers(headings, rows) {
    const part = element('details', {}, element('summary', {}, 'Numbers'));
    part.addEventListener('toggle', () => {  // the table is made when it is first looked at
      if (part.open && part.children.length === 1) part.append(table(headings, rows));
    });
    return part;
  }

  // A figure: caption, canvas, numbers. `configure` is called again when the colours change.
  function figure({title, note, label, kind, headings, rows, configure}) {
    const canvas = element('canvas', {role: 'img', 'aria-label': label || title});
    const node = element('figure', {},
      element('figcaption', {}, title, note ? element('small', {}, note) : null),
      element('div', {class: 'plot ' + (kind || '')}, canvas));
    if (headings) node.append(numbers(headings, rows));
    made.push({canvas, configure, chart: null});
    return node;
  }

  const whiskers = {
    id: 'whiskers',
    afterDatasetsDraw(chart) {
      const {ctx} = chart;
      chart.data.datasets.forEach((dataset, index) => {
        if (!dataset.intervals || !chart.isDatasetVisible(index)) return;
        const across = chart.options.indexAxis === 'y';
        const scale = across ? chart.scales.x : chart.scales.y;
        ctx.save();
        ctx.strokeStyle = dataset.whiskerColor || css('--ink');
        ctx.lineWidth = 1.4;
        chart.getDatasetMeta(index).data.forEach((mark, i) => {
          const interval = dataset.intervals[i];
          if (!interval) return;
          const [low, high] = interval.map(v => scale.getPixelForValue(v));
          const at = across ? mark.y : mark.x, cap = 4;
          ctx.beginPath();
          for (const [x0, y0, x1, y1] of across
            ? [[low, at, high, at], [low, at - cap, low, at + cap], [high, at - cap, high, at + cap]]
            : [[at, low, at, high], [at - cap, low, at + cap, low], [at - cap, high, at + cap, high]]) {
            ctx.moveTo(x0, y0);
            ctx.lineTo(x1, y1);
          }
          ctx.stroke();
        });
        ctx.restore();
      });
    }
  };

  // The value beside each bar, past its whisker.
  const values = {
    id: 'values',
    afterDatasetsDraw(chart) {
      const dataset = chart.data.datasets[0];
      if (!dataset || !dataset.labels) return;
      const {ctx} = chart;
      ctx.save();
      ctx.font = '600 12px ' + css('--sans');
      ctx.fillStyle = css('--ink');
      ctx.textBaseline = 'middle';
      chart.getDatasetMeta(0).data.forEach((mark, i) => {
        const end = Math.max(dataset.data[i] || 0, dataset.intervals && dataset.intervals[i] ? dataset.intervals[i][1] : 0);
        ctx.fillText(dataset.labels[i], chart.scales.x.getPixelForValue(end) + 8, mark.y);
      });
      ctx.restore();
    }
  };

  // Three models: share or score with its interval.
  function bars({title, note, names, colours, data, intervals, format, most, label}) {
    return figure({title, note, label, kind: 'bars', configure: () => ({
      type: 'bar',
      data: {labels: names, datasets: [{data, intervals, labels: data.map(format), backgroundColor: colours.map(css), barPercentage: 0.62, categoryPercentage: 0.9}]},
      plugins: [whiskers, values],
      options: {
        indexAxis: 'y', layout: {padding: {right: 52}},
        plugins: {legend: {display: false}, tooltip: {callbacks: {label: item =>
          format(item.raw) + (intervals[item.dataIndex] ? '  (95%: ' + intervals[item.dataIndex].map(format).join(' to ') + ')' : '')}}},
        scales: {
          x: {min: 0, max: most, grid: {color: css('--line'), drawBorder: false}, ticks: {callback: v => format(v), maxTicksLimit: 5}},
          y: {grid: {display: false, drawBorder: false}, ticks: {color: css('--ink')}}
        }
      }
    })});
  }

  // Lines over steps. Each line: {name, points: [[step, value]], colour: index or variable name, dashed, dots}.
  function lines({title, note, lines: all, label, zero, format, logarithmic}) {
    const shown = all.filter(line => line.points && line.points.length);
    const rows = [];
    for (const line of shown) for (const [step, value] of line.points) rows.push([line.name, number(step, 0), number(value)]);
    const colour = line => typeof line.colour === 'string' ? css(line.colour) : series(line.colour || 0);
    const largest = Math.max(...shown.flatMap(line => line.points.map(p => p[1])));
    return figure({title, note, label: label || title + ': ' + shown.map(line => line.name + ' from ' + number(line.points[0][1]) + ' to ' +
      number(line.points[line.points.length - 1][1])).join('; '), headings: ['Series', 'Step', 'Value'], rows, configure: () => ({
      type: 'line',
      data: {datasets: shown.map(line => ({
        label: line.name, data: line.points.map(([x, y]) => ({x, y})), borderColor: colour(line), backgroundColor: colour(line),
        borderWidth: line.dots ? 1.5 : 1.8, borderDash: line.dashed ? [5, 4] : [], pointRadius: line.dots || line.points.length === 1 ? 3 : 0,
        pointHitRadius: 6, tension: 0
      }))},
      options: {
        interaction: {mode: 'nearest', axis: 'x', intersect: false},
        plugins: {legend: {display: shown.length > 1, align: 'start', labels: {boxWidth: 18, boxHeight: 1.5, color: css('--muted')}},
          tooltip: {callbacks: {title: items => 'step ' + number(items[0].parsed.x, 0), label: item => item.dataset.label + ': ' + number(item.parsed.y)}}},
        scales: {
          x: {type: 'linear', min: 0, grid: {display: false, drawBorder: false}, ticks: {maxTicksLimit: 7}, title: {display: true, text: 'step', color: css('--muted')}},
          y: {type: logarithmic ? 'logarithmic' : 'linear', suggestedMin: zero ? 0 : undefined, grid: {color: css('--line'), drawBorder: false},
            ticks: {maxTicksLimit: 6, callback: v => format ? format(v, largest) : number(v)}}
        }
      }
    })});
  }

  function defaults() {
    Chart.defaults.animation = false;
    Chart.defaults.responsive = true;
    Chart.defaults.maintainAspectRatio = false;
    Chart.defaults.devicePixelRatio = Math.max(2, window.devicePixelRatio || 1);
    Chart.defaults.font.family = css('--sans');
    Chart.defaults.font.size = 12;
    Chart.defaults.color = css('--muted');
    Chart.defaults.borderColor = css('--line');
    Object.assign(Chart.defaults.plugins.tooltip, {backgroundColor: css('--ink'), titleColor: css('--paper'), bodyColor: css('--paper'),
      displayColors: false, padding: 9, cornerRadius: 6});
  }

  function draw() {
    defaults();
    for (const one of made) {
      if (one.chart) one.chart.destroy();
      one.chart = new Chart(one.canvas, one.configure());
    }
  }

  // After the choice of colours in one chart changed.
  function redraw(canvas) {
    const one = made.find(m => m.canvas === canvas);
    if (!one) return;
    if (one.chart) one.chart.destroy();
    one.chart = new Chart(one.canvas, one.configure());
  }

  return {bars, lines, figure, numbers, element, number, percent, css, faded, series, whiskers, draw, redraw,
    resize: () => made.forEach(one => one.chart && one.chart.resize())};
})();
