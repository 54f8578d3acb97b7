# SPDX-License-Identifier: Apache-2.0
"""The results as Markdown."""


def with_others(spent):
    """What neither the benchmark nor anything it runs against has used: 0 on a machine that does nothing else."""
    known = sum(seconds for name, seconds in spent.items() if name != 'machine')
    return {**spent, 'others': round(max(0.0, spent['machine'] - known), 2)}


def row(*cells):
    return '| ' + ' | '.join(str(cell) for cell in cells) + ' |'


def table(head, rows):
    return [row(*head), '|' + '---|' * len(head), *(row(*cells) for cells in rows), '']


def seconds(value):
    return '' if value is None else f'{value:.2f} s'


def spread_row(name, spread):
    # the p99 of a few is their maximum
    return name, seconds(spread['p50']), seconds(spread['p99'] if spread['count'] >= 100 else None), seconds(
        spread['max'])


def machine_line(machine):
    return (f"{machine['cores']} cores of {machine['processor']}, {machine['memoryGiB']:.0f} GiB, "
            f"Linux {machine['kernel']}; Kubernetes {machine['kubernetes']}, etcd {machine['etcd']}, "
            f"PostgreSQL {machine['postgresql']}; Reprise at {machine['revision'] or 'an unknown revision'}"
            + (f", {machine['controllerFlags']}" if machine['controllerFlags'] else '') + '.')


def figures_of_the_controller(results):
    burst, idle, cold = results['burst'], results['idle'], results['coldStart']
    clones = burst['clones']
    spent = burst['cpuSeconds']['controller']
    yield 'API writes per clone, Lease left out', burst['writes']['perClone']
    yield '... of which refused (all clones)', sum(burst['writes']['refused'].values())
    yield 'API reads per clone, watches left out', burst['reads']['perClone']
    yield 'passes per clone', burst['eventsPerClone'].get('pass ended', 0)
    yield 'ledger transactions per clone', burst['ledgerCommitsPerClone']
    yield f'processor time for {clones} clones', f'{spent:.1f} s ({1000 * spent / clones:.1f} ms each)'
    yield 'queue depth, mean and maximum', f"{burst['queueDepth']['mean']}, {burst['queueDepth']['max']:.0f}"
    yield 'resident memory: empty, after the clones, peak', (
        f"{results['emptyStart']['memoryMiB']['now']}, {burst['memoryMiB']['now']}, {burst['memoryMiB']['peak']} MiB")
    yield f"idle for {idle['seconds']:.0f} s: processor time", (
        f"{idle['controllerCpuSeconds']} s ({idle['controllerCpuPercent']} % of a core)")
    yield 'idle: API writes and reads beside the Lease', f"{idle['writesBesideLease']}, {idle['readsBesideLease']}"
    yield 'cold start: until it leads and has listed everything', seconds(cold['toLeadingAndSynced'])
    yield '... until every object had its pass', (
        f"{seconds(cold['toQueueEmpty'])}, {cold['passes']} passes, {cold['controllerCpuSeconds']} s of processor time")
    yield '... API writes beside the Lease', cold['writesBesideLease']
    yield '... resident memory: now, peak', f"{cold['memoryMiB']['now']}, {cold['memoryMiB']['peak']} MiB"


def markdown(results):
    alone, burst = results['alone'], results['burst']
    lines = [machine_line(results['machine']), '']
    lines += table(('from the answer to the POST', 'p50', 'p99', 'max'), [
        spread_row('to the StatefulSet, one clone at a time', alone['toStatefulSet']),
        spread_row('to Ready, one clone at a time', alone['toReady']),
        spread_row(f"to the StatefulSet, {burst['clones']} at once", burst['toStatefulSet']),
        spread_row(f"to Ready, {burst['clones']} at once", burst['toReady'])])
    clones = burst['clones']
    lines += [f"{clones} ServiceClones in {burst['namespaces']} namespaces were posted within "
              f"{burst['createdWithin']} s; the last StatefulSet came after {burst['lastStatefulSetAfter']} s, the "
              f"last clone was Ready after {burst['lastReadyAfter']} s "
              f"({60 * clones / burst['lastReadyAfter']:.0f} a minute), the last write came after "
              f"{burst['lastWriteAfter']} s.", '']
    lines += table(('the controller', ''), figures_of_the_controller(results))
    spent = burst['cpuSeconds']
    parts = sorted(((name, value) for name, value in spent.items() if name != 'machine'), key=lambda item: -item[1])
    lines += table(('processor time while all at once', 'seconds', 'share', 'each clone'), [
        (name, f'{value:.1f}', f"{100 * value / max(spent['machine'], 0.01):.0f} %", f'{1000 * value / clones:.0f} ms')
        for name, value in parts])
    lines += table(('API writes per clone', ''), burst['writes']['byKind'].items())
    lines += table(('API reads per clone', ''), burst['reads']['byKind'].items())
    if burst['writes']['refused']:
        lines += table(('refused writes, all clones', ''), burst['writes']['refused'].items())
    if spent['others'] > 0.1 * spent['machine']:
        share = 100 * spent['others'] / spent['machine']
        lines += [f'Note: other programs used {share:.0f} % of the processor time spent meanwhile: the durations are '
                  'longer than on an idle machine.', '']
    return '\n'.join(lines)
