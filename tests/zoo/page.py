def write(found): pass
def as_text(each):
    lines=[f"{each.library}:{each.family}:{each.name} {each.verdict} {each.seconds}"]
    lines+=[f"   {b.sites} opened {b.opened} {b.verdicts} back {b.given_back}" for b in (each.raised,each.zero)]
    lines+=[f"   !! {f.what} {f.where}: {f.why}" for f in each.findings]
    return "\n".join(lines)
