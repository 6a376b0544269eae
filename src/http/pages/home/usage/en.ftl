home-use-title = Your use
home-use-full = Full again at { $when }.
home-use-rate = At most { $rate } requests per second, up to { $burst } at once.
home-use-empty = You have asked for nothing in the last { $days } days.
home-use-empty-next = Examples to begin with
home-use-csv = Download as CSV
