'use strict';
const studies = JSON.parse(document.getElementById('data').textContent);
const options = {displayModeBar: false, responsive: true};
const ink = name => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
// As among the curves, the best is red; bad runs fade into the paper.
const good = goal => [[0, ink('--line')], [0.5, ink('--bar')], [1, ink('--error')]]
  .map(([at, hue], i, all) => [at, goal === 'maximize' ? hue : all[all.length - 1 - i][1]]);
const evenly = (least, most) =>
  [...new Set(Array.from({length: 5}, (_, i) => +(least + i * (most - least) / 4).toPrecision(3)))];
// Positions and marks along an axis; a run without this key has a place of its own, below.
function placed(axis) {
  const there = axis.values.filter(value => value !== null), least = Math.min(...there), most = Math.max(...there);
  if (there.length === axis.values.length) return {values: axis.values, ticks: axis.ticks, texts: axis.texts, least, most};
  const even = evenly(least, most);
  const none = least - (most - least || 1) * 0.15;
  return {values: axis.values.map(value => value === null ? none : value), ticks: [none, ...(axis.ticks || even)],
    texts: ['none', ...(axis.texts || even.map(String))], least: none, most};
}
function axisOf({ticks, texts, least, most}) {
  const room = (most - least) * 0.08 || 0.5;
  return ticks === null ? {} :
    {tickmode: 'array', tickvals: ticks, ticktext: texts, range: [least - room, most + room]};
}
function layout(more) {
  const line = {gridcolor: ink('--line'), zerolinecolor: ink('--line'), linecolor: ink('--line'), automargin: true};
  const {xaxis = {}, yaxis = {}, ...rest} = more;
  return {paper_bgcolor: 'rgba(0,0,0,0)', plot_bgcolor: 'rgba(0,0,0,0)', font: {color: ink('--ink'), size: 12},
    margin: {l: 56, r: 16, t: 12, b: 44}, showlegend: false, hovermode: 'closest', hoverlabel: {namelength: -1},
    xaxis: {...line, ...xaxis}, yaxis: {...line, ...yaxis}, ...rest};
}
function draw(id, traces, more) {
  const place = document.getElementById(id);
  if (place) Plotly.react(place, traces, layout(more), options);
}
function drawCurves(data, number) {
  const chosen = document.getElementById(`metric${number}`), metric = chosen ? chosen.value : data.metric;
  const lines = data.curves.runs.filter(run => metric in run.lines).reverse();
  const traces = lines.map((run, i) => ({
    x: run.lines[metric][0], y: run.lines[metric][1], name: run.name, mode: 'lines+markers',
    hovertemplate: `${run.name}<br>epoch %{x}: %{y:.4g}<extra>${run.status}</extra>`, marker: {size: 4},
    opacity: i === lines.length - 1 ? 1 : 0.55,
    line: {color: i === lines.length - 1 ? ink('--error') : ink('--bar'), width: i === lines.length - 1 ? 3 : 1.2,
      dash: run.status === 'finished' ? 'solid' : 'dot'}}));
  const last = Math.max(...lines.map(run => Math.max(...run.lines[metric][0])));
  draw(`curves${number}`, traces, {xaxis: {title: {text: 'epoch'}, ...(last <= 10 ? {dtick: 1} : {})},
    yaxis: {title: {text: metric}}});
}
function drawParallel(data, number) {
  const values = data.values, low = Math.min(...values), high = Math.max(...values);
  if (!data.axes.length || !values.length) return;
  const dimensions = data.axes.slice(0, 10).map(axis => {
    const {values, ticks, texts, least, most} = placed(axis);
    const even = evenly(least, most);
    return {label: axis.name, range: [least, most > least ? most : least + 1], values,
      tickvals: ticks || even, ticktext: texts || even.map(String)};
  });
  dimensions.push({label: data.metric, values, range: [low, high > low ? high : low + 1e-6]});
  draw(`parallel${number}`, [{type: 'parcoords', dimensions, labelfont: {size: 12}, tickfont: {size: 11},
    line: {color: values, colorscale: good(data.goal), cmin: low, cmax: high > low ? high : low + 1e-6, showscale: false}}],
    {margin: {l: 70, r: 60, t: 50, b: 24}});
}
function drawImportance(data, number) {
  if (!data.importance) return;
  const rows = Object.entries(data.importance).reverse();
  draw(`importance${number}`, [{type: 'bar', orientation: 'h', y: rows.map(row => row[0]), x: rows.map(row => row[1]),
    marker: {color: ink('--bar')}, text: rows.map(row => row[1].toFixed(2)), textposition: 'auto', insidetextfont: {color: ink('--paper')},
    hovertemplate: '%{y}: %{x:.3f}<extra></extra>'}],
    {height: 70 + 30 * rows.length, xaxis: {title: {text: 'share'}, range: [0, 1]}, yaxis: {ticks: ''}});
}
function drawSlices(data, number) {
  data.axes.forEach((axis, i) => draw(`slice${number}-${i}`, [{mode: 'markers', x: placed(axis).values, y: data.values,
    text: data.names.map((name, k) => `${name}<br>${axis.shown[k]}`),
    hovertemplate: '%{text}: %{y:.4g}<extra></extra>',
    marker: {size: 9, opacity: 0.75, color: ink('--bar'), line: {color: ink('--bar'), width: 1.5},
      symbol: data.states.map(state => state === 'finished' ? 'circle' : 'circle-open')}}],
    {xaxis: {title: {text: axis.name}, ...axisOf(placed(axis))}, yaxis: {title: {text: data.metric}}}));
}
function drawAll() {
  for (const drawOne of [drawCurves, drawParallel, drawImportance, drawSlices]) studies.forEach(drawOne);
}
drawAll();
studies.forEach((data, number) => {
  const chooser = document.getElementById(`metric${number}`);
  if (chooser) chooser.addEventListener('change', () => drawCurves(data, number));
});
matchMedia('(prefers-color-scheme: dark)').addEventListener('change', drawAll);
for (const box of document.querySelectorAll('.show-test')) box.addEventListener('change', () =>
  box.closest('.study').classList.toggle('hides-test', !box.checked));
for (const head of document.querySelectorAll('table.runs th')) head.firstElementChild.addEventListener('click', () => {
  const down = head.getAttribute('aria-sort') === 'ascending', column = head.cellIndex;
  for (const other of head.parentNode.children) other.removeAttribute('aria-sort');
  head.setAttribute('aria-sort', down ? 'descending' : 'ascending');
  const body = head.closest('table').tBodies[0], key = row => row.cells[column].dataset.v;
  const rows = [...body.rows].sort((first, second) => {
    const a = key(first), b = key(second);
    if (a === '' || b === '') return (a === '') - (b === '');  // what is not there stays last
    const texts = isNaN(a) - isNaN(b);  // numbers come before texts, whatever else is in the column
    const order = texts || (isNaN(a) ? a.localeCompare(b, undefined, {numeric: true}) : a - b || 0);  // Infinity - Infinity is no number
    return down ? -order : order;
  });
  body.append(...rows);
});
