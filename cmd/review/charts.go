package review

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"gprxy/store"
)

// charts are the page's drawings, as rectangles in the units of their viewBox.
type charts struct {
	Width, Height int
	Accounts      []strip
	More          int // accounts that have no strip
	Hours         []rect
	Weekdays      []label
	Clock         []label
	Refusals      strip
	Legend        []label // of Refusals
}

// strip is bars over days.
type strip struct {
	Name        string
	Total       int64
	Most        int64
	First, Last string // days
	Bars        []rect
}

type rect struct {
	X, Y, W, H float64
	Class      string
	Title      string
}

type label struct {
	X, Y  float64
	Text  string
	Class string
}

const (
	chartWidth  = 720
	chartHeight = 44
	mostStrips  = 12
	mostBars    = 180 // more days than that are drawn in weeks, or months
	hourSize    = 24
)

func draw(r *store.Review) charts {
	c := charts{Width: chartWidth, Height: chartHeight}
	axis := axisOf(r)
	c.Accounts, c.More = accountStrips(r, axis)
	c.Hours, c.Weekdays, c.Clock = heat(r)
	c.Refusals, c.Legend = refusals(r, axis)
	return c
}

// axis are the days of the review, some of them together in one bar.
type axis struct {
	first, last time.Time
	each        int // days in a bar
	bars        int
}

func axisOf(r *store.Review) axis {
	days := []string{}
	for _, d := range r.Days {
		days = append(days, d.Day)
	}
	for _, d := range r.Refusing {
		days = append(days, d.Day)
	}
	if len(days) == 0 {
		return axis{}
	}
	first, _ := time.Parse(time.DateOnly, slices.Min(days)) // the store wrote them
	last, _ := time.Parse(time.DateOnly, slices.Max(days))
	a := axis{first: first, last: last, each: 1}
	whole := int(last.Sub(first)/(24*time.Hour)) + 1
	for _, each := range []int{1, 7, 30, 365} {
		if a.each = each; whole/each <= mostBars {
			break
		}
	}
	a.bars = (whole + a.each - 1) / a.each
	return a
}

func (a axis) bar(day string) int {
	d, _ := time.Parse(time.DateOnly, day)
	return int(d.Sub(a.first)/(24*time.Hour)) / a.each
}

// title says which days a bar is for.
func (a axis) title(bar int) string {
	from := a.first.AddDate(0, 0, bar*a.each)
	if a.each == 1 {
		return from.Format(time.DateOnly)
	}
	return fmt.Sprintf("%s to %s", from.Format(time.DateOnly), from.AddDate(0, 0, a.each-1).Format(time.DateOnly))
}

// place is where a bar stands.
func (a axis) place(bar int) (x, w float64) {
	step := float64(chartWidth) / float64(a.bars)
	w = min(step*0.8, 24)
	return float64(bar)*step + (step-w)/2, w
}

func (a axis) strip(name string) strip {
	return strip{Name: name, First: a.first.Format(time.DateOnly), Last: a.last.Format(time.DateOnly)}
}

// accountStrips has a strip for each of the accounts with most sessions, all on one scale of their own.
func accountStrips(r *store.Review, a axis) (strips []strip, more int) {
	counts := map[string][]int64{}
	totals := map[string]int64{}
	for _, d := range r.Days {
		if counts[d.Account] == nil {
			counts[d.Account] = make([]int64, a.bars)
		}
		counts[d.Account][a.bar(d.Day)] += d.Sessions
		totals[d.Account] += d.Sessions
	}
	for name, bars := range counts {
		s := a.strip(name)
		s.Total, s.Most = totals[name], slices.Max(bars)
		for i, n := range bars {
			if n == 0 {
				continue
			}
			x, w := a.place(i)
			h := max(1, float64(chartHeight)*float64(n)/float64(s.Most))
			s.Bars = append(s.Bars, rect{X: x, Y: chartHeight - h, W: w, H: h, Class: "bar", Title: fmt.Sprintf("%s: %d sessions", a.title(i), n)})
		}
		strips = append(strips, s)
	}
	slices.SortFunc(strips, func(a, b strip) int { return cmp.Or(cmp.Compare(b.Total, a.Total), cmp.Compare(a.Name, b.Name)) })
	shown := min(mostStrips, len(strips))
	return strips[:shown], len(strips) - shown
}

var weekdays = []string{"Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"}

// heat is sessions by weekday and hour, in five shades.
func heat(r *store.Review) (cells []rect, days, hours []label) {
	const left, top = 40, 18
	most := int64(1)
	for _, day := range r.Hours {
		most = max(most, slices.Max(day[:]))
	}
	for d, day := range r.Hours {
		y := float64(top + d*hourSize)
		days = append(days, label{X: 0, Y: y + hourSize*0.65, Text: weekdays[d]})
		for h, n := range day {
			shade := 0
			if n > 0 {
				shade = 1 + int(4*(n-1)/most)
			}
			cells = append(cells, rect{X: float64(left + h*hourSize), Y: y, W: hourSize - 2, H: hourSize - 2,
				Class: fmt.Sprintf("heat%d", min(shade, 5)),
				Title: fmt.Sprintf("%s %02d:00 to %02d:59 UTC: %d sessions", weekdays[d], h, h, n)})
		}
	}
	for h := 0; h < 24; h += 3 {
		hours = append(hours, label{X: float64(left + h*hourSize), Y: top - 6, Text: fmt.Sprintf("%02d", h)})
	}
	return cells, days, hours
}

// refusals are bars of what was refused, the commonest reasons in colours of their own.
func refusals(r *store.Review, a axis) (s strip, legend []label) {
	const colours = 4
	class := map[string]string{}
	for i, reason := range r.Refusals {
		class[reason.Reason] = fmt.Sprintf("kind%d", min(i, colours))
		if i <= colours {
			text := reason.Reason
			if i == colours {
				text = "other reasons"
			}
			legend = append(legend, label{Text: text, Class: fmt.Sprintf("kind%d", i)})
		}
	}
	s = a.strip("refusals")
	stacks := make([]map[string]int64, a.bars)
	sums := make([]int64, a.bars)
	for _, d := range r.Refusing {
		i := a.bar(d.Day)
		if stacks[i] == nil {
			stacks[i] = map[string]int64{}
		}
		stacks[i][class[d.Reason]] += d.Count
		sums[i] += d.Count
		s.Total += d.Count
		s.Most = max(s.Most, sums[i])
	}
	for i, stack := range stacks {
		y := float64(chartHeight)
		for k := range colours + 1 {
			kind := fmt.Sprintf("kind%d", k)
			if stack[kind] == 0 {
				continue
			}
			x, w := a.place(i)
			h := float64(chartHeight) * float64(stack[kind]) / float64(s.Most)
			y -= h
			s.Bars = append(s.Bars, rect{X: x, Y: y, W: w, H: h, Class: kind, Title: fmt.Sprintf("%s: %d of %d refused", a.title(i), stack[kind],
				sums[i])})
		}
	}
	return s, legend
}
